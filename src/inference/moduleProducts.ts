import { ModuleProduct } from '../adapter/forward.js';
import type { QuantizedModule } from '../adapter/types.js';
import { MAX_ORDERED_WEIGHT_BYTES } from './limits.js';

/** The products with the modules of an adapter; what is made for one is kept for its next stage, as long as there is room. */
export class ModuleProducts {
  readonly #kept = new Map<number, ModuleProduct>();
  #bytes = 0;

  /** @param maxBytes of weights that are kept beside the modules' own */
  constructor(
    private readonly modules: readonly QuantizedModule[],
    private readonly maxBytes = MAX_ORDERED_WEIGHT_BYTES,
  ) {}

  /** @throws ZkLoraError `ADAPTER_OVERFLOW`, `ADAPTER_MALFORMED` */
  of(index: number): ModuleProduct {
    const kept = this.#kept.get(index);
    if (kept !== undefined) return kept;
    const product = new ModuleProduct(this.modules[index]!);
    if (this.#bytes + product.bytes <= this.maxBytes) {
      this.#bytes += product.bytes;
      this.#kept.set(index, product);
    }
    return product;
  }
}
