// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {KzgFraud} from "./KzgFraud.sol";

/// @dev The two functions of ERC-20 that move money, and the one that counts it.
interface IERC20 {
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
}

/// @title Escrow of a LoRA adapter: the evaluated weights against payment
/// @notice A buyer who holds an adapter encrypted funds a contributor's signed offer; the contributor reveals the key;
/// the buyer shows within a window that a row is not the registered one, or the contributor is paid. docs/settlement.md.
/// @dev No owner, no upgrade, no pause, no fee. Not audited.
///
///   none --cancel--> Cancelled
///   none --fund--> Funded --reveal--> Revealed --withdraw--> Withdrawn
///                  Funded --refund--> Refunded
///                                     Revealed --dispute--> Convicted
///
/// An escrow is one storage slot: everything else is in the offer, which callers pass and whose EIP-712 digest is the
/// escrow's id. Only withdraw and collect send money, each what belongs to the caller alone; everything that somebody
/// else waits for is credited, so that no receiver and no token can stand in the way of a refund or a dispute.
/// Supported are tokens whose transfers move the amount they are asked to move and whose balances stay as they are.
contract AdapterEscrow {
    enum State {
        None,
        Cancelled,
        Funded,
        Revealed,
        Withdrawn,
        Refunded,
        Convicted
    }

    /// @notice What a contributor offers to one buyer. Signed as EIP-712 typed data.
    struct Offer {
        bytes32 adapterId;
        /// Tree over all registered rows.
        bytes32 rowsRoot;
        /// Tree over all encrypted rows.
        bytes32 cipherRoot;
        /// keccak256(masterKey).
        bytes32 keyHash;
        /// keccak256(N | tauG2).
        bytes32 srsDigest;
        uint32 rowCount;
        address contributor;
        address buyer;
        /// ERC-20, or zero for the chain's own coin.
        address token;
        uint128 price;
        uint128 stake;
        /// Last timestamp for funding.
        uint64 fundBy;
        /// Seconds from funding in which the key can be revealed.
        uint32 revealWindow;
        /// Seconds from the reveal in which a fraud proof is accepted.
        uint32 disputeWindow;
    }

    struct Escrow {
        State state;
        /// Last timestamp for reveal (Funded) or dispute (Revealed).
        uint64 deadline;
    }

    event Deposited(address indexed account, address indexed token, uint256 amount);
    event Collected(address indexed account, address indexed token, uint256 amount, address to);
    event Cancelled(bytes32 indexed offerId);
    event Funded(
        bytes32 indexed offerId, address indexed buyer, address indexed contributor, uint64 revealBy
    );
    event KeyRevealed(bytes32 indexed offerId, bytes32 masterKey, uint64 disputeBy);
    event Withdrawn(bytes32 indexed offerId, address to);
    event Refunded(bytes32 indexed offerId);
    event FraudProven(bytes32 indexed offerId, uint256 row);

    /// The escrow is in another state than the call needs.
    error WrongState(State state);
    /// Only the offer's contributor.
    error NotContributor();
    /// Only the offer's buyer.
    error NotBuyer();
    /// The signature is not the contributor's.
    error SignatureInvalid();
    /// A window is not from MIN_WINDOW to MAX_WINDOW.
    error WindowInvalid();
    /// The last second for this call was `deadline`.
    error TooLate(uint256 deadline);
    /// The call is possible after `deadline`.
    error TooEarly(uint256 deadline);
    /// keccak256 of the key is not the offer's keyHash.
    error KeyInvalid();
    /// The account's balance in this contract is smaller.
    error BalanceTooSmall(uint256 balance);
    /// Another amount of the chain's coin than the call needs.
    error ValueInvalid();
    /// The token's transfer failed or said so, or there is no contract.
    error TokenFailed();
    /// The transfer moved another amount than asked for.
    error AmountReceivedInvalid();
    /// The receiver refused the chain's coin.
    error PaymentRefused();
    /// A call from inside another one.
    error Reentered();

    /// Shortest window, seconds: more than two epochs, after which a block is final.
    uint256 public constant MIN_WINDOW = 30 minutes;
    /// Longest window, seconds.
    uint256 public constant MAX_WINDOW = 90 days;

    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant OFFER_TYPEHASH = keccak256(
        "Offer(bytes32 adapterId,bytes32 rowsRoot,bytes32 cipherRoot,bytes32 keyHash,bytes32 srsDigest,uint32 rowCount,address contributor,address buyer,address token,uint128 price,uint128 stake,uint64 fundBy,uint32 revealWindow,uint32 disputeWindow)"
    );
    bytes32 private constant NAME_HASH = keccak256("zklora AdapterEscrow");
    bytes32 private constant VERSION_HASH = keccak256("1");

    /// Half the order of secp256k1: of the two signatures with the same r only the one with the smaller s counts (EIP-2).
    uint256 private constant MAX_S = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    mapping(bytes32 id => Escrow) private _escrows;

    /// @notice What an account can collect or, as a contributor, has free for stakes.
    mapping(address account => mapping(address token => uint256)) public balanceOf;

    bool private transient _entered;

    modifier nonReentrant() {
        if (_entered) revert Reentered();
        _entered = true;
        _;
        _entered = false;
    }

    /// @notice Puts money into the caller's balance. An offer that the caller signed can lock it as a stake.
    /// @param amount in the token's smallest unit; for the chain's coin what the call carries
    function deposit(address token, uint256 amount) external payable nonReentrant {
        balanceOf[msg.sender][token] += amount;
        emit Deposited(msg.sender, token, amount);
        _receive(token, amount);
    }

    /// @notice Sends money from the caller's balance.
    function collect(address token, uint256 amount, address to) external nonReentrant {
        _debit(msg.sender, token, amount);
        emit Collected(msg.sender, token, amount, to);
        _send(token, to, amount);
    }

    /// @notice Makes an offer that nobody has funded void for good.
    function cancel(Offer calldata offer) external {
        if (msg.sender != offer.contributor) revert NotContributor();
        bytes32 id = offerId(offer);
        _require(id, State.None);
        _escrows[id].state = State.Cancelled;
        emit Cancelled(id);
    }

    /// @notice Locks the buyer's price and, from the contributor's balance, the stake.
    /// @dev For the buyer alone. Before: check the offer against the adapter commitment and the parameter set that were
    /// evaluated, and that the downloaded delivery file has the offer's cipherRoot.
    /// @param signature r | s | v of the contributor over the offer's id, low s, v 27 or 28
    function fund(Offer calldata offer, bytes calldata signature) external payable nonReentrant {
        bytes32 id = offerId(offer);
        _require(id, State.None);
        if (msg.sender != offer.buyer) revert NotBuyer();
        if (block.timestamp > offer.fundBy) revert TooLate(offer.fundBy);
        _requireWindow(offer.revealWindow);
        _requireWindow(offer.disputeWindow);
        if (_signer(id, signature) != offer.contributor) revert SignatureInvalid();

        uint64 deadline = uint64(block.timestamp) + offer.revealWindow;
        _escrows[id] = Escrow(State.Funded, deadline);
        _debit(offer.contributor, offer.token, offer.stake);
        emit Funded(id, offer.buyer, offer.contributor, deadline);
        _receive(offer.token, offer.price);
    }

    /// @notice Publishes the key. Anybody who has it may: who puts it on chain makes no difference.
    function reveal(Offer calldata offer, bytes32 masterKey) external {
        bytes32 id = offerId(offer);
        _requireUntil(id, State.Funded);
        if (keccak256(abi.encode(masterKey)) != offer.keyHash) revert KeyInvalid();

        uint64 deadline = uint64(block.timestamp) + offer.disputeWindow;
        _escrows[id] = Escrow(State.Revealed, deadline);
        emit KeyRevealed(id, masterKey, deadline);
    }

    /// @notice Pays price and stake to the contributor, after the dispute window.
    /// @param to where to, at the contributor's choice
    function withdraw(Offer calldata offer, address to) external nonReentrant {
        if (msg.sender != offer.contributor) revert NotContributor();
        bytes32 id = offerId(offer);
        _requireAfter(id, State.Revealed);
        _escrows[id].state = State.Withdrawn;
        emit Withdrawn(id, to);
        _send(offer.token, to, uint256(offer.price) + offer.stake);
    }

    /// @notice Credits the price to the buyer and the stake to the contributor when no key came in time. For anybody.
    function refund(Offer calldata offer) external {
        bytes32 id = offerId(offer);
        _requireAfter(id, State.Funded);
        _escrows[id].state = State.Refunded;
        balanceOf[offer.buyer][offer.token] += offer.price;
        balanceOf[offer.contributor][offer.token] += offer.stake;
        emit Refunded(id);
    }

    /// @notice Credits price and stake to the buyer when a delivered row is not the registered one. For anybody.
    /// @param masterKey the revealed key
    function dispute(Offer calldata offer, bytes32 masterKey, KzgFraud.Proof calldata proof) external {
        bytes32 id = offerId(offer);
        _requireUntil(id, State.Revealed);
        if (keccak256(abi.encode(masterKey)) != offer.keyHash) revert KeyInvalid();
        KzgFraud.requireFraud(
            KzgFraud.Terms({
                offerId: id,
                rowsRoot: offer.rowsRoot,
                cipherRoot: offer.cipherRoot,
                srsDigest: offer.srsDigest,
                masterKey: masterKey,
                rowCount: offer.rowCount
            }),
            proof
        );
        _escrows[id].state = State.Convicted;
        balanceOf[offer.buyer][offer.token] += uint256(offer.price) + offer.stake;
        emit FraudProven(id, proof.row);
    }

    /// @notice State of an offer's escrow, and the last timestamp for reveal or dispute while it is Funded or Revealed.
    function escrowOf(bytes32 id) external view returns (State state, uint64 deadline) {
        Escrow memory escrow = _escrows[id];
        return (escrow.state, escrow.deadline);
    }

    /// @notice Id of an offer: its EIP-712 digest on this chain and for this contract.
    function offerId(Offer calldata offer) public view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPEHASH, NAME_HASH, VERSION_HASH, block.chainid, address(this))
        );
        return keccak256(abi.encodePacked(hex"1901", domain, keccak256(abi.encode(OFFER_TYPEHASH, offer))));
    }

    function _require(bytes32 id, State expected) private view {
        State state = _escrows[id].state;
        if (state != expected) revert WrongState(state);
    }

    /// @dev The deadline's own second still counts.
    function _requireUntil(bytes32 id, State expected) private view {
        _require(id, expected);
        uint256 deadline = _escrows[id].deadline;
        if (block.timestamp > deadline) revert TooLate(deadline);
    }

    /// @dev The deadline's own second does not count yet.
    function _requireAfter(bytes32 id, State expected) private view {
        _require(id, expected);
        uint256 deadline = _escrows[id].deadline;
        if (block.timestamp <= deadline) revert TooEarly(deadline);
    }

    function _requireWindow(uint256 window) private pure {
        if (window < MIN_WINDOW || window > MAX_WINDOW) revert WindowInvalid();
    }

    /// @dev Zero for anything that is no signature in the one accepted form; no offer is signed by zero.
    function _signer(bytes32 id, bytes calldata signature) private pure returns (address signer) {
        if (signature.length != 65) revert SignatureInvalid();
        bytes32 s = bytes32(signature[32:64]);
        if (uint256(s) > MAX_S) revert SignatureInvalid();
        signer = ecrecover(id, uint8(signature[64]), bytes32(signature[0:32]), s);
        if (signer == address(0)) revert SignatureInvalid();
    }

    function _debit(address account, address token, uint256 amount) private {
        uint256 balance = balanceOf[account][token];
        if (balance < amount) revert BalanceTooSmall(balance);
        balanceOf[account][token] = balance - amount;
    }

    /// @dev Takes money from the caller; refuses tokens that keep a part.
    function _receive(address token, uint256 amount) private {
        if (token == address(0)) {
            if (msg.value != amount) revert ValueInvalid();
            return;
        }
        if (msg.value != 0) revert ValueInvalid();
        uint256 before = _held(token);
        _call(token, abi.encodeCall(IERC20.transferFrom, (msg.sender, address(this), amount)));
        if (_held(token) != before + amount) revert AmountReceivedInvalid();
    }

    function _send(address token, address to, uint256 amount) private {
        if (token == address(0)) {
            (bool success,) = to.call{value: amount}("");
            if (!success) revert PaymentRefused();
            return;
        }
        _call(token, abi.encodeCall(IERC20.transfer, (to, amount)));
    }

    function _held(address token) private view returns (uint256) {
        if (token.code.length == 0) revert TokenFailed();
        return IERC20(token).balanceOf(address(this));
    }

    /// @dev Success is no revert, and either no answer (older tokens) or true.
    function _call(address token, bytes memory data) private {
        if (token.code.length == 0) revert TokenFailed();
        (bool success, bytes memory answer) = token.call(data);
        if (!success) revert TokenFailed();
        if (answer.length != 0 && (answer.length < 32 || uint256(bytes32(answer)) != 1)) revert TokenFailed();
    }
}
