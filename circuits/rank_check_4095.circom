pragma circom 2.2.0;

// Written by scripts/circuits.mjs.
include "./rank_check.circom";

component main {public [y, mu, b, p, q]} = RankCheck(4095);
