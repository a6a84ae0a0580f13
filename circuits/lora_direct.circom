pragma circom 2.2.0;

// LoraDirect(n, r, k): the statement of an inference proof for one module and one token, written directly, without
// the reduction of docs/protocol.md. A yardstick for the benchmark and an oracle for the tests; no proof that
// zklora makes uses it.
//
//     y = B A x                                              over the scalar field F of BN254
//     commitment = chain of Poseidon hashes of salt, A, B
//
// Signals:
//     x[n]         public: activations of one token
//     y[k]         public: the deltas
//     commitment   public: h_C, where h_0 = salt and h_(i+1) = Poseidon(h_i, w_(15 i), .., w_(15 i + 14)); w is A row by
//                  row, then B column by column, then zeros up to a multiple of 15; C = ceil(r (n + k) / 15)
//     salt         private: uniform in F, hides the weights in the commitment
//     a[r][n]      private: A
//     bT[r][k]     private: B transposed, its columns as rows
//
// What is constrained: every product, every sum, every hash. What is not: ranges. x and y are in the clear, so a
// verifier checks theirs; entries of A and B may be any elements of F, as in an inference proof without a
// registration proof, and (c A, B / c) satisfies it for every c. A circuit that also kept the weights to 16 bits would need
// 17 constraints more for each.
//
// Source of Poseidon: circomlib 2.0.5, poseidon.circom and poseidon_constants.circom, copied beside this file when it is
// compiled. 16 inputs are the most that it takes.
//
// Size with --O2, measured: about 41 constraints a weight, 40 of them for the hash (circuits.lock.json has some).
include "./poseidon.circom";

template LoraDirect(n, r, k) {
    signal input x[n];
    signal input y[k];
    signal input commitment;
    signal input salt;
    signal input a[r][n];
    signal input bT[r][k];

    // y = B (A x)
    signal ax[r][n];
    signal z[r];
    signal bz[r][k];
    for (var j = 0; j < r; j++) {
        var row = 0;
        for (var i = 0; i < n; i++) {
            ax[j][i] <== a[j][i] * x[i];
            row += ax[j][i];
        }
        z[j] <== row;
    }
    for (var o = 0; o < k; o++) {
        var sum = 0;
        for (var j = 0; j < r; j++) {
            bz[j][o] <== bT[j][o] * z[j];
            sum += bz[j][o];
        }
        y[o] === sum;
    }

    // the chain
    var count = r * (n + k);
    var chunks = (count + 14) \ 15;
    component hash[chunks];
    for (var c = 0; c < chunks; c++) {
        hash[c] = Poseidon(16);
        if (c == 0) {
            hash[c].inputs[0] <== salt;
        } else {
            hash[c].inputs[0] <== hash[c - 1].out;
        }
        for (var s = 0; s < 15; s++) {
            var w = 15 * c + s;
            if (w < r * n) {
                hash[c].inputs[1 + s] <== a[w \ n][w % n];
            } else if (w < count) {
                hash[c].inputs[1 + s] <== bT[(w - r * n) \ k][(w - r * n) % k];
            } else {
                hash[c].inputs[1 + s] <== 0;
            }
        }
    }
    commitment === hash[chunks - 1].out;
}
