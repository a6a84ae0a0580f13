// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {KzgFraud} from "../../../contracts/KzgFraud.sol";

/// Opens the library's inner functions to the tests.
contract KzgFraudHarness {
    function evaluate(
        bytes calldata ciphertext,
        bytes32 rowKey,
        uint256 logSize,
        uint256 offset,
        uint256 length,
        uint256 z
    ) external view returns (uint256) {
        return KzgFraud.evaluate(ciphertext, rowKey, logSize, offset, length, z);
    }

    function opens(
        uint256[2] memory f,
        uint256[2] memory w,
        uint256[4] memory tauG2,
        uint256 z,
        uint256 y
    ) external view returns (bool) {
        return KzgFraud.opens(f, w, tauG2, z, y);
    }

    function rootOf(bytes32 leaf, uint256 index, bytes32[] calldata path) external pure returns (bytes32) {
        return KzgFraud.rootOf(leaf, index, path);
    }
}
