import { secp256k1 } from '@noble/curves/secp256k1.js';
import type { Hex } from 'viem';

/** Largest s that signatures may have (EIP-2): of the two valid ones the smaller. */
const HALF_ORDER = secp256k1.Point.Fn.ORDER / 2n;

/** Whether a 65-byte signature r | s | v is in the one form that AdapterEscrow.sol takes: low s, v 27 or 28. */
export function isLowS(signature: Hex): boolean {
  if (!/^0x[0-9a-fA-F]{130}$/.test(signature)) return false;
  const s = BigInt(`0x${signature.slice(66, 130)}`);
  const v = Number.parseInt(signature.slice(130), 16);
  return s <= HALF_ORDER && (v === 27 || v === 28);
}
