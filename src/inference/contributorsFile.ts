import { z } from 'zod';
import { ZkLoraError } from '../errors.js';
import { parseJson } from '../jsonText.js';
import { MAX_CONTRIBUTORS } from './contributorSet.js';

/** contributors.json: 64 entries with a dozen paths of 4096 characters each. */
export const MAX_CONTRIBUTORS_BYTES = 4 * 2 ** 20;

/** Also the name of a folder. */
export const contributorName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
const path = z.string().min(1).max(4096);

const entrySchema = z.strictObject({
  name: contributorName,
  commitment: path,
  address: z.string().min(1).max(512),
  weight: z
    .number()
    .min(-(2 ** 20))
    .max(2 ** 20)
    .default(1),
  session: path.optional(),
  fingerprint: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  tlsCa: path.optional(),
  tlsClientCert: path.optional(),
  tlsClientKey: path.optional(),
  tokenFile: path.optional(),
  allowInsecure: z.boolean().optional(),
});

const schema = z.strictObject({
  format: z.literal('zklora/contributors/v1'),
  contributors: z.array(entrySchema).min(1).max(MAX_CONTRIBUTORS),
});

/** One contributor of a set, as the user describes it; paths as they stand in the file. */
export type ContributorEntry = z.infer<typeof entrySchema>;

/**
 * Reads contributors.json.
 *
 * @throws ZkLoraError `CONTRIBUTORS_MALFORMED`
 */
export function parseContributors(json: string | Uint8Array): ContributorEntry[] {
  const result = schema.safeParse(parseJson(json, 'CONTRIBUTORS_MALFORMED', 'contributors.json'));
  if (!result.success) {
    const where = result.error.issues[0]?.path.join('.') || 'top level';
    throw new ZkLoraError(
      'CONTRIBUTORS_MALFORMED',
      `contributors.json does not describe contributors (at ${where.slice(0, 80)}); see docs/formats.md`,
    );
  }
  const { contributors } = result.data;
  // some file systems do not tell cases apart
  if (new Set(contributors.map(({ name }) => name.toLowerCase())).size !== contributors.length) {
    throw new ZkLoraError('CONTRIBUTORS_MALFORMED', 'contributors.json gives two contributors one name');
  }
  return contributors;
}
