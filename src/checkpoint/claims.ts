import { join } from 'node:path';
import { z } from 'zod';
import { ZkLoraError } from '../errors.js';
import { readFileBounded } from '../files.js';
import { parseJsonBytes } from '../jsonText.js';
import { readFrontMatter } from './frontMatter.js';
import { MAX_CARD_BYTES, MAX_CLAIMS, MAX_MANIFEST_BYTES, MAX_TEXT_LENGTH } from './limits.js';
import { type Relation, textSchema } from './vocabulary.js';

/** Something that a file of the ecosystem says about a checkpoint. Nobody has signed it: never more than a claim. */
export interface Claim {
  /** `model card`, `adapter_config.json` or `model_index.json`. */
  readonly source: string;
  readonly kind: 'base-model' | 'component' | 'licence' | 'pipeline';
  /** Relation that the source states or implies; null when it says none. */
  readonly relation: Relation | null;
  /** What is named, e.g. `org/model`, or `name: library.Class` of a component. */
  readonly value: string;
  /** Git revision or tag, where the source names one. */
  readonly revision: string | null;
}

const CARD_MEMBERS: ReadonlySet<string> = new Set([
  'base_model',
  'base_model_relation',
  'license',
  'license_name',
]);

/** Values of `base_model_relation` (Hugging Face Hub, "Model cards"). */
const CARD_RELATIONS: Readonly<Record<string, Relation>> = {
  adapter: 'adapter-of',
  finetune: 'finetuned-from',
  merge: 'merged-from',
  quantized: 'quantized-from',
};

const peftSchema = z.looseObject({
  base_model_name_or_path: z.string().max(4096).nullish(),
  revision: z.string().max(MAX_TEXT_LENGTH).nullish(),
});

/**
 * Reads what a model folder claims about itself: the model card's front matter, PEFT's adapter_config.json and the
 * Diffusers model_index.json. Files that are not there are skipped.
 *
 * @throws ZkLoraError `CHECKPOINT_MALFORMED`, `FILE_UNREADABLE`
 */
export async function readClaims(folder: string): Promise<Claim[]> {
  const card = await optionalFile(join(folder, 'README.md'), MAX_CARD_BYTES);
  const peft = await optionalFile(join(folder, 'adapter_config.json'), MAX_MANIFEST_BYTES);
  const index = await optionalFile(join(folder, 'model_index.json'), MAX_MANIFEST_BYTES);
  return [
    ...(card === null ? [] : claimsOfCard(decode(card))),
    ...(peft === null ? [] : claimsOfPeft(peft)),
    ...(index === null ? [] : claimsOfModelIndex(index)),
  ];
}

/** Claims of a model card. @throws ZkLoraError `CHECKPOINT_MALFORMED` */
export function claimsOfCard(text: string): Claim[] {
  const members = readFrontMatter(text, CARD_MEMBERS);
  const bases = members.get('base_model') ?? [];
  const stated = members.get('base_model_relation') ?? [];
  if (stated.length > 1) throw malformed('the model card', 'base_model_relation is a list');
  const word = stated[0];
  if (word !== undefined && !Object.hasOwn(CARD_RELATIONS, word)) {
    throw malformed('the model card', 'base_model_relation is none of adapter, finetune, merge, quantized');
  }
  const relation = word === undefined ? null : CARD_RELATIONS[word]!;
  const source = 'model card';
  const licences = members.get('license_name') ?? members.get('license') ?? [];
  return [
    ...bases.map((value): Claim => ({ source, kind: 'base-model', relation, value, revision: null })),
    ...licences.map((value): Claim => ({ source, kind: 'licence', relation: null, value, revision: null })),
  ];
}

/** Claims of a PEFT adapter_config.json. @throws ZkLoraError `CHECKPOINT_MALFORMED` */
export function claimsOfPeft(bytes: Uint8Array): Claim[] {
  const source = 'adapter_config.json';
  const parsed = peftSchema.safeParse(parseJsonBytes(bytes, 'CHECKPOINT_MALFORMED', source));
  if (!parsed.success) throw malformed(source, 'base_model_name_or_path or revision is no text');
  const { base_model_name_or_path: base, revision } = parsed.data;
  if (base === undefined || base === null || base === '') return [];
  return [
    {
      source,
      kind: 'base-model',
      relation: 'adapter-of',
      value: oneLine(base),
      revision: revision === undefined || revision === null ? null : oneLine(revision),
    },
  ];
}

/** Claims of a Diffusers model_index.json: the pipeline's class and its components. @throws ZkLoraError `CHECKPOINT_MALFORMED` */
export function claimsOfModelIndex(bytes: Uint8Array): Claim[] {
  const source = 'model_index.json';
  const value = parseJsonBytes(bytes, 'CHECKPOINT_MALFORMED', source);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw malformed(source, 'it is no JSON object');
  }
  const entries = Object.entries(value);
  if (entries.length > MAX_CLAIMS) throw malformed(source, `it has more than ${MAX_CLAIMS} members`);
  const claims: Claim[] = [];
  for (const [name, entry] of entries) {
    const claim = (kind: Claim['kind'], text: string) =>
      claims.push({ source, kind, relation: null, value: oneLine(text), revision: null });
    if (name === '_class_name' && typeof entry === 'string') claim('pipeline', entry);
    else if (name === '_name_or_path' && typeof entry === 'string') claim('base-model', entry);
    else if (!name.startsWith('_') && isComponent(entry))
      claim('component', `${name}: ${entry[0]}.${entry[1]}`);
  }
  return claims;
}

/** `[library, class]`; an absent component is `[null, null]`. */
function isComponent(entry: unknown): entry is [string, string] {
  return Array.isArray(entry) && entry.length === 2 && entry.every((part) => typeof part === 'string');
}

/** Text of others on one line, without control characters. */
function oneLine(text: string): string {
  const shown = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?').slice(0, MAX_TEXT_LENGTH);
  return textSchema.safeParse(shown).success ? shown : '?';
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw malformed('the model card', 'it is not UTF-8 text');
  }
}

async function optionalFile(path: string, maxBytes: number): Promise<Uint8Array | null> {
  try {
    return await readFileBounded(path, maxBytes, 'model folder');
  } catch (error) {
    if (error instanceof ZkLoraError && error.code === 'FILE_NOT_FOUND') return null;
    throw error;
  }
}

function malformed(what: string, problem: string): ZkLoraError {
  return new ZkLoraError(
    'CHECKPOINT_MALFORMED',
    `${what} cannot be read: ${problem}; correct it or fetch it again`,
  );
}
