import { getAddress, type Hex, isAddress } from 'viem';
import { z } from 'zod';
import { bytesToHex } from '../bytes.js';

/** Bytes as `0x` and hex digits in lower case. */
export function toHex(bytes: Uint8Array): Hex {
  return `0x${bytesToHex(bytes)}`;
}

// Schemas of JSON members that settlement's files share.

/** 32 bytes as `0x` and 64 hex digits in lower case. */
export const bytes32 = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/)
  .transform((value) => value as `0x${string}`);

/** 65 bytes r | s | v in lower case. */
export const signature65 = z
  .string()
  .regex(/^0x[0-9a-f]{130}$/)
  .transform((value) => value as `0x${string}`);

/** Address with its checksum (EIP-55). */
export const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .refine((value) => isAddress(value) && getAddress(value) === value)
  .transform((value) => value as `0x${string}`);

/** Unsigned integer as decimal text without leading zeros, below 2^bits. */
export const decimal = (bits: number) =>
  z
    .string()
    .regex(/^(?:0|[1-9][0-9]{0,77})$/)
    .transform(BigInt)
    .refine((value) => value < 1n << BigInt(bits));

/** Unsigned integer as a JSON number below 2^bits, at most 2^53 - 1. */
export const integer = (bits: number) =>
  z
    .number()
    .int()
    .min(0)
    .max(Math.min(2 ** bits - 1, Number.MAX_SAFE_INTEGER));
