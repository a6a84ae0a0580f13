/** Why the reference verifier does not accept; nothing else is thrown on hostile input. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** @throws Refusal unless the condition holds. */
export function demand(condition: boolean, why: string): asserts condition {
  if (!condition) throw new Refusal(why);
}
