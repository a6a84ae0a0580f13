pragma circom 2.2.0;

// RankCheck(K): the claim of docs/protocol.md, section "Circom / Groth16":
//
//     sum_l p[l] * q[l] = y                 over the scalar field F of BN254
//
// Signals, all of them public, in this order (the order of the points of the verification key after
// its constant point; rank_check_K.circom lists the same order and circuits.lock.json pins it):
//     y       the folded output, known to the verifier
//     mu      N * m0, the constant part of the mask R(X) = m0 + m1 X; uniform in F
//     b       blinder of the commitment D to (mu, b, p, q); uniform in F
//     p[K]    p_l = <c_m, row j of A_m>, zero for padding pairs
//     q[K]    q_l = <v, column j of B_m>, zero for padding pairs
//
// Preconditions: K >= 1. No signal has a range other than F: the relation holds in F, and the
// integers of it are the business of the registration proof, not of this circuit.
//
// mu and b take part in no relation. Each is squared so that it stands in a constraint: a compiler or
// a key generator may drop a signal that stands in none, and D would not bind it then.
//
// Public here means public to Groth16. The prover sends the group element
//     D = mu*IC_mu + b*IC_b + sum_l p_l*IC_p,l + q_l*IC_q,l
// in place of the values, which stay secret.
//
// Size with --O2: K + 2 constraints (K products, the last with its product replaced by
// y - sum of the others, and two squares), 3K + 5 wires.
template RankCheck(K) {
    signal input y;
    signal input mu;
    signal input b;
    signal input p[K];
    signal input q[K];

    signal product[K];
    signal muSquared;
    signal bSquared;

    var sum = 0;
    for (var l = 0; l < K; l++) {
        product[l] <== p[l] * q[l];
        sum += product[l];
    }
    y === sum;

    muSquared <== mu * mu;
    bSquared <== b * b;
}
