// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Fraud proofs about one delivered row
/// @notice Decides whether a row that was delivered encrypted is the registered one, from a KZG opening of the
/// commitment to what it decrypts to. docs/settlement.md has the argument, docs/formats.md every byte.
/// @dev The row's polynomial is f = sum_i w_i L_(offset+i) + alpha Z_H, with L_i the Lagrange basis of the subgroup H of
/// order N of BN254's scalar field, Z_H = X^N - 1, w_i the 16-bit entries and alpha the blinder. Decryption and decoding
/// are total: every ciphertext of the right length has exactly one f. Then F = [f(tau)] is unique too, and F equal to the
/// registered point C exactly when the row is the committed one (or tau is known).
library KzgFraud {
    /// @notice One row as delivered, and what shows it.
    /// @dev Points are x, y (EIP-196), tauG2 is x.c1, x.c0, y.c1, y.c0 (EIP-197).
    struct Proof {
        /// Place of the row in both trees.
        uint32 row;
        /// Index in H of its first entry.
        uint32 offset;
        /// Number of its entries.
        uint32 length;
        /// N, the order of H: a power of two from 2^9 to 2^20.
        uint32 domainSize;
        uint256[4] tauG2;
        /// C: the point of the commitment.
        uint256[2] registered;
        /// F: commitment to the decrypted row; (0, 0) for the identity, which a row of zeros has.
        uint256[2] delivered;
        /// Opening of F at the challenge; may be the identity, which a constant polynomial has.
        uint256[2] opening;
        /// ceil(length / 16) + 1 words.
        bytes ciphertext;
        bytes32[] rowsPath;
        bytes32[] cipherPath;
    }

    /// @notice What both parties agreed on.
    struct Terms {
        bytes32 offerId;
        bytes32 rowsRoot;
        bytes32 cipherRoot;
        bytes32 srsDigest;
        bytes32 masterKey;
        uint256 rowCount;
    }

    /// The row is not one of the offer's.
    error RowOutOfRange();
    /// N is no power of two from 2^9 to 2^20.
    error DomainSizeInvalid();
    /// The entries do not fit the domain.
    error RowDoesNotFit();
    /// The ciphertext has another length than the row.
    error CiphertextLengthInvalid();
    /// A path has another length than the tree's depth.
    error PathLengthInvalid();
    /// N and tauG2 are not those of the offer.
    error SrsMismatch();
    /// (row, offset, length, registered) is no leaf of rowsRoot.
    error RowsPathInvalid();
    /// (row, ciphertext) is no leaf of cipherRoot.
    error CipherPathInvalid();
    /// A coordinate is not below the base field's order.
    error CoordinateNotCanonical();
    /// F is C: the delivered row is the registered one.
    error RowIsRegistered();
    /// The challenge fell into H (probability N / R).
    error ChallengeInDomain();
    /// A point is not on its curve.
    error PointInvalid();
    /// The opening does not show f(z).
    error OpeningInvalid();

    /// Order of BN254's groups and of the scalar field.
    uint256 internal constant R =
        21888242871839275222246405745257275088548364400416034343698204186575808495617;
    /// Order of the base field.
    uint256 internal constant Q =
        21888242871839275222246405745257275088696311157297823662689037894645226208583;
    /// Inverse of 5^((R - 1) / 2^28), a root of unity of order 2^28.
    uint256 private constant ROOT_INVERSE =
        776454056201908206186590970419435932130236139910903033203789591477115950462;
    uint256 private constant ROOT_LOG = 28;
    /// ROOT_INVERSE^(2^26): the inverse of w^(N/4) for every N, a square root of -1.
    uint256 private constant FOURTH_ROOT = 4407920970296243842541313971887945403937097133418418784715;

    // Frame of _sum: offsets in bytes.
    uint256 private constant ROOT = 0x00;
    uint256 private constant DATA = 0x20;
    uint256 private constant COUNT = 0x40;
    uint256 private constant QUARTER = 0x60;
    uint256 private constant BLOCK = 0x80;
    uint256 private constant END = 0xa0;

    uint256 private constant MIN_LOG_SIZE = 9;
    uint256 private constant MAX_LOG_SIZE = 20;

    // First byte of what is hashed: no leaf is a node, no leaf of one tree one of the other.
    bytes1 private constant ROWS_LEAF = 0x00;
    bytes1 private constant CIPHER_LEAF = 0x01;
    bytes1 private constant NODE = 0x02;
    bytes1 private constant CHALLENGE = 0x03;

    // generator of G2, x.c1, x.c0, y.c1, y.c0
    uint256 private constant G2_X1 =
        11559732032986387107991004021392285783925812861821192530917403151452391805634;
    uint256 private constant G2_X0 =
        10857046999023057135944570762232829481370756359578518086990519993285655852781;
    uint256 private constant G2_Y1 =
        4082367875863433681332203403145435568316851327593401208105741076214120093531;
    uint256 private constant G2_Y0 =
        8495653923123431417604973247489272438418190587263600148770280649306958101930;

    /// @notice Reverts unless the proof shows that the delivered row is not the registered one.
    /// @dev C is compared and not used in any equation, so it is not checked to be a point: both parties had rowsRoot
    /// before money moved, and a commitment that is no point must not make a fraud unprovable.
    function requireFraud(Terms memory terms, Proof calldata proof) internal view {
        uint256 logSize = _log2(proof.domainSize);
        if (uint256(proof.offset) + proof.length > proof.domainSize) revert RowDoesNotFit();
        uint256 words = (uint256(proof.length) + 15) / 16;
        if (proof.ciphertext.length != 32 * (words + 1)) revert CiphertextLengthInvalid();
        if (keccak256(abi.encode(uint256(proof.domainSize), proof.tauG2)) != terms.srsDigest) revert SrsMismatch();

        bytes32 cipherHash = keccak256(proof.ciphertext);
        _requireMember(terms, proof, cipherHash);

        uint256[2] calldata f = proof.delivered;
        _requireCanonical(f);
        _requireCanonical(proof.opening);
        if (f[0] == proof.registered[0] && f[1] == proof.registered[1]) revert RowIsRegistered();

        uint256 z = _challenge(terms.offerId, proof, cipherHash);
        bytes32 rowKey = keccak256(abi.encode(terms.masterKey, uint256(proof.row)));
        uint256 y = evaluate(proof.ciphertext, rowKey, logSize, proof.offset, proof.length, z);
        if (!opens(f, proof.opening, proof.tauG2, z, y)) revert OpeningInvalid();
    }

    /// @dev z = keccak256(03 | offer id | row | keccak256(ciphertext) | C | F) mod R: fixed by what was agreed on and by F.
    function _challenge(bytes32 id, Proof calldata proof, bytes32 cipherHash) private pure returns (uint256) {
        bytes memory head = abi.encodePacked(CHALLENGE, id, uint256(proof.row), cipherHash);
        return uint256(keccak256(abi.encodePacked(head, proof.registered, proof.delivered))) % R;
    }

    /// @notice f(z) of the row that a ciphertext decrypts to.
    /// @dev With u_i = z w^-(offset+i):  f(z) = (z^N - 1) (1/N sum_i w_i / (u_i - 1) + alpha).
    /// Four entries at a distance of N/4 share one denominator. With s = w^(-N/4), s^2 = -1, and a, b, c, d the entries
    /// at i, i + N/4, i + N/2, i + 3N/4:
    ///   a/(u-1) + b/(su-1) + c/(-u-1) + d/(-su-1)
    ///     = ((1 + u^2) ((a+c) + u (a-c)) + (1 - u^2) ((b+d) + su (b-d))) / (u^4 - 1).
    /// The sum is kept as one fraction, so that one inversion serves all. No denominator is zero: u^4 = 1 puts z into H.
    /// @param rowKey keccak256(masterKey | row)
    /// @param z below R
    /// @return y below R
    function evaluate(
        bytes calldata ciphertext,
        bytes32 rowKey,
        uint256 logSize,
        uint256 offset,
        uint256 length,
        uint256 z
    ) internal view returns (uint256 y) {
        uint256 rootInverse = ROOT_INVERSE;
        for (uint256 i = logSize; i < ROOT_LOG; ++i) rootInverse = mulmod(rootInverse, rootInverse, R);
        uint256 vanishing = z;
        for (uint256 i; i < logSize; ++i) vanishing = mulmod(vanishing, vanishing, R);
        if (vanishing == 1) revert ChallengeInDomain();
        vanishing = addmod(vanishing, R - 1, R);

        (uint256 numerator, uint256 denominator) = _sum(
            ciphertext, rowKey, length, (1 << logSize) / 64, mulmod(z, _power(rootInverse, offset), R), rootInverse
        );
        uint256 alpha = _word(ciphertext, rowKey, ciphertext.length / 32 - 1);
        y = mulmod(numerator, _inverse(mulmod(denominator, 1 << logSize, R)), R);
        y = mulmod(vanishing, addmod(y, alpha, R), R);
    }

    /// @dev sum_i w_i / (u_i - 1) as a fraction; see evaluate.
    /// @param quarter words between entries that share a denominator: N / 64
    /// @param u u_0
    function _sum(
        bytes calldata ciphertext,
        bytes32 rowKey,
        uint256 length,
        uint256 quarter,
        uint256 u,
        uint256 rootInverse
    ) private pure returns (uint256 numerator, uint256 denominator) {
        assembly ("memory-safe") {
            // Decrypted word i, zero behind the row's end; clears what fills the last word behind the entries.
            function entries(frame, i) -> w {
                let first := shl(4, i)
                let count := mload(add(frame, COUNT))
                if lt(first, count) {
                    mstore(0x20, i)
                    w := xor(calldataload(add(mload(add(frame, DATA)), shl(5, i))), keccak256(0x00, 0x40))
                    let rest := sub(count, first)
                    if lt(rest, 16) { w := and(w, not(shr(shl(4, rest), not(0)))) }
                }
            }

            // What the inner loop does not need lies in memory: with more than 16 live variables the compiler would
            // compute some of them again at each use.
            let frame := mload(0x40)
            mstore(add(frame, DATA), ciphertext.offset)
            mstore(add(frame, COUNT), length)
            mstore(add(frame, QUARTER), quarter)
            mstore(add(frame, ROOT), rootInverse)
            mstore(0x00, rowKey)
            denominator := 1
            {
                let blocks := shr(4, add(length, 15))
                if gt(blocks, quarter) { blocks := quarter }
                mstore(add(frame, END), blocks)
            }
            mstore(add(frame, BLOCK), 0)
            for {} 1 {} {
                let a
                let b
                let c
                let d
                {
                    let t := mload(add(frame, BLOCK))
                    if iszero(lt(t, mload(add(frame, END)))) { break }
                    mstore(add(frame, BLOCK), add(t, 1))
                    let step := mload(add(frame, QUARTER))
                    a := entries(frame, t)
                    b := entries(frame, add(t, step))
                    c := entries(frame, add(t, mul(2, step)))
                    d := entries(frame, add(t, mul(3, step)))
                }
                // Values below stay unreduced where the next step is a mulmod: 5 R fits 256 bits. R is added to small
                // signed integers to make them non-negative.
                for { let shift := 240 } lt(shift, 256) { shift := sub(shift, 16) } {
                    let uu := mulmod(u, u, R)
                    let n
                    {
                        let x := signextend(1, shr(shift, a))
                        let y := signextend(1, shr(shift, c))
                        n := mulmod(
                            add(1, uu),
                            add(add(add(x, y), R), mulmod(u, add(sub(x, y), R), R)),
                            R
                        )
                        x := signextend(1, shr(shift, b))
                        y := signextend(1, shr(shift, d))
                        n := add(
                            n,
                            mulmod(
                                sub(add(R, 1), uu),
                                add(
                                    add(add(x, y), R),
                                    mulmod(mulmod(u, FOURTH_ROOT, R), add(sub(x, y), R), R)
                                ),
                                R
                            )
                        )
                    }
                    u := mulmod(u, mload(add(frame, ROOT)), R)
                    uu := add(mulmod(uu, uu, R), sub(R, 1))
                    numerator := add(mulmod(numerator, uu, R), mulmod(n, denominator, R))
                    denominator := mulmod(denominator, uu, R)
                }
            }
        }
    }

    /// @notice Whether e(F - y G + z W, G2) = e(W, tau G2).
    /// @dev The precompiles check that points are on their curves and tauG2 in its group (EIP-196, EIP-197).
    function opens(
        uint256[2] memory f,
        uint256[2] memory w,
        uint256[4] memory tauG2,
        uint256 z,
        uint256 y
    ) internal view returns (bool) {
        uint256[2] memory left = _add(f, _add(_mul([uint256(1), 2], (R - y) % R), _mul(w, z)));
        // -W, for the product of both pairings to be one
        uint256 negated = w[1] == 0 ? 0 : Q - w[1];
        uint256[12] memory input = [
            left[0],
            left[1],
            G2_X1,
            G2_X0,
            G2_Y1,
            G2_Y0,
            w[0],
            negated,
            tauG2[0],
            tauG2[1],
            tauG2[2],
            tauG2[3]
        ];
        uint256[1] memory result;
        bool success;
        assembly ("memory-safe") {
            success := staticcall(gas(), 0x08, input, 0x180, result, 0x20)
        }
        if (!success) revert PointInvalid();
        return result[0] == 1;
    }

    /// @dev Both leaves are in their trees, at the row's place.
    function _requireMember(Terms memory terms, Proof calldata proof, bytes32 cipherHash) private pure {
        uint256 row = proof.row;
        if (row >= terms.rowCount) revert RowOutOfRange();
        uint256 depth;
        while (1 << depth < terms.rowCount) ++depth;
        if (proof.rowsPath.length != depth || proof.cipherPath.length != depth) revert PathLengthInvalid();
        bytes32 leaf = keccak256(
            abi.encodePacked(
                ROWS_LEAF, proof.row, proof.offset, proof.length, proof.registered[0], proof.registered[1]
            )
        );
        if (rootOf(leaf, row, proof.rowsPath) != terms.rowsRoot) revert RowsPathInvalid();
        leaf = keccak256(abi.encodePacked(CIPHER_LEAF, proof.row, cipherHash));
        if (rootOf(leaf, row, proof.cipherPath) != terms.cipherRoot) revert CipherPathInvalid();
    }

    /// @notice Root that a leaf at an index has with these siblings.
    function rootOf(bytes32 leaf, uint256 index, bytes32[] calldata path) internal pure returns (bytes32 hash) {
        hash = leaf;
        for (uint256 i; i < path.length; ++i) {
            bytes32 sibling = path[i];
            hash = (index >> i) & 1 == 1
                ? keccak256(abi.encodePacked(NODE, sibling, hash))
                : keccak256(abi.encodePacked(NODE, hash, sibling));
        }
    }

    function _log2(uint256 size) private pure returns (uint256 logSize) {
        for (logSize = MIN_LOG_SIZE; logSize <= MAX_LOG_SIZE; ++logSize) {
            if (size == 1 << logSize) return logSize;
        }
        revert DomainSizeInvalid();
    }

    function _requireCanonical(uint256[2] calldata point) private pure {
        if (point[0] >= Q || point[1] >= Q) revert CoordinateNotCanonical();
    }

    /// @dev Decrypted word.
    function _word(bytes calldata ciphertext, bytes32 rowKey, uint256 i) private pure returns (uint256) {
        bytes32 pad = keccak256(abi.encode(rowKey, i));
        return uint256(bytes32(ciphertext[32 * i:32 * (i + 1)]) ^ pad);
    }

    function _power(uint256 base, uint256 exponent) private pure returns (uint256 power) {
        power = 1;
        for (; exponent > 0; exponent >>= 1) {
            if (exponent & 1 == 1) power = mulmod(power, base, R);
            base = mulmod(base, base, R);
        }
    }

    /// @dev value^(R - 2) through the modexp precompile (EIP-198).
    function _inverse(uint256 value) private view returns (uint256) {
        uint256[6] memory input = [uint256(32), 32, 32, value, R - 2, R];
        uint256[1] memory result;
        bool success;
        assembly ("memory-safe") {
            success := staticcall(gas(), 0x05, input, 0xc0, result, 0x20)
        }
        // only for lack of gas
        if (!success) revert PointInvalid();
        return result[0];
    }

    function _mul(uint256[2] memory point, uint256 scalar) private view returns (uint256[2] memory product) {
        uint256[3] memory input = [point[0], point[1], scalar];
        bool success;
        assembly ("memory-safe") {
            success := staticcall(gas(), 0x07, input, 0x60, product, 0x40)
        }
        if (!success) revert PointInvalid();
    }

    function _add(uint256[2] memory a, uint256[2] memory b) private view returns (uint256[2] memory sum) {
        uint256[4] memory input = [a[0], a[1], b[0], b[1]];
        bool success;
        assembly ("memory-safe") {
            success := staticcall(gas(), 0x06, input, 0x80, sum, 0x40)
        }
        if (!success) revert PointInvalid();
    }
}
