/**
 * tau G2 as params.json has it, for tau = 1, for tau = -1, and for the seed of the committed development set: no
 * ceremony ends there. A set made from another known secret cannot be told by its looks; its transcript can
 * (`zklora params verify`).
 */
export const KNOWN_TAU_G2: ReadonlySet<string> = new Set([
  '198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c21800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa',
  '198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c21800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed275dc4a288d1afb3cbb1ac09187524c7db36395df7be3b99e673b13a075a65ec1d9befcd05a5323e6da4d435f3b617cdb3af83285c2df711ef39c01571827f9d',
  '12ce6b313ea12e13df744ed56084600918198cb95514c5004908509f1be7ee590060e8337b28de4603b2297e975e71ced79dea1e2ff9dc3ebbd2c495575451051efa59eefab537f5768b5dbe566357b69d8c948bfdd70caa42b7ccf43b28d7f911676db593d291fdfceb6d096b973036c8251639b016c26df476f6ccb96aa462',
]);
