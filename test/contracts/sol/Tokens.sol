// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// An ERC-20 as most are: returns true or reverts.
contract Token {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    constructor(address[] memory holders) {
        for (uint256 i; i < holders.length; ++i) balanceOf[holders[i]] = 1e24;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external virtual returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) internal virtual {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// Keeps a hundredth of every transfer.
contract FeeToken is Token {
    constructor(address[] memory holders) Token(holders) {}

    function _move(address from, address to, uint256 amount) internal override {
        balanceOf[from] -= amount;
        balanceOf[to] += amount - amount / 100;
    }
}

/// Moves nothing and returns false, in both directions or only when money leaves the escrow.
contract FalseToken is Token {
    bool public refuseIn = true;
    bool public refuseOut = true;

    constructor(address[] memory holders) Token(holders) {}

    function set(bool in_, bool out_) external {
        refuseIn = in_;
        refuseOut = out_;
    }

    function transfer(address to, uint256 amount) external override returns (bool) {
        if (refuseOut) return false;
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        if (refuseIn) return false;
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }
}

/// Returns nothing, and changes an allowance only from or to zero, as some old and large tokens do.
contract SilentToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    constructor(address[] memory holders) {
        for (uint256 i; i < holders.length; ++i) balanceOf[holders[i]] = 1e24;
    }

    function approve(address spender, uint256 amount) external {
        require(amount == 0 || allowance[msg.sender][spender] == 0);
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// Calls the escrow back from inside each transfer, with whatever it was told, and keeps what it answered.
contract CallbackToken is Token {
    address public target;
    bytes public message;
    bytes public answer;

    constructor(address[] memory holders) Token(holders) {}

    function arm(address target_, bytes calldata message_) external {
        target = target_;
        message = message_;
        delete answer;
    }

    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        if (target == address(0)) return;
        (, answer) = target.call(message);
    }
}

/// A party that is a contract: passes calls on, and calls the escrow back when it is paid.
contract CallbackReceiver {
    bytes public message;
    bytes public answer;
    bool public refuse;

    receive() external payable {
        if (refuse) revert();
        if (message.length != 0) (, answer) = msg.sender.call(message);
    }

    function arm(bytes calldata message_, bool refuse_) external {
        message = message_;
        refuse = refuse_;
    }

    function pass(address target, bytes calldata data) external payable {
        (bool success, bytes memory reason) = target.call{value: msg.value}(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(reason, 32), mload(reason))
            }
        }
    }
}
