// Runs an int8 TinyLSTM where the page is: the wearable's kernel as WebAssembly, so the same integers. For node too.
//
//   const model = await TinyLSTM.load("/tinylstm.wasm", "/NAME.tflite");   // addresses, or the bytes of either
//   const [strain] = model.dequantise(model.step(model.quantise(features)));
//
// The state carries over from step to step until `reset`. Nothing leaves this device.

const REASONS = ["", "identifier", "truncated", "schema", "operator", "type", "shape", "scale", "range", "memory"];
const PAGE = 65536; // WebAssembly's memory grows by pages
const CALLS = 256; // of one crossing into the kernel; `run` takes any number in pieces
const FLOAT32 = 0; // TensorType of schema.fbs

/** A file or an input that cannot be run. `reason`: one of the kernel's, or "metadata", "input". */
export class ModelError extends Error {
  constructor(reason, detail) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
  }
}

/** One model with its state. `inputs` and `outputs` are the int8 values that one call takes and gives. */
export class TinyLSTM {
  #kernel; #file; #at; #input; #parts;

  /** Loads a model; both arguments are an address or bytes. Throws ModelError; nothing of a refused file is run. */
  static async load(wasm, model) {
    const [program, file] = await Promise.all([bytes(wasm), bytes(model)]);
    const { instance } = await WebAssembly.instantiate(program, {});
    return new TinyLSTM(instance.exports, file);
  }

  constructor(kernel, file) {
    this.#kernel = kernel;
    this.#file = file;
    // Only pages of our own are used: what lies below them is the kernel's stack and constants.
    this.#at = { model: grown(kernel.memory, file.length) };
    this.#bytes(this.#at.model, file.length).set(file);
    const size = accepted(kernel.tinylstm_size(this.#at.model, file.length));
    this.#at.state = grown(kernel.memory, size);
    accepted(kernel.tinylstm_load(this.#at.model, file.length, this.#at.state, size));
    this.inputs = kernel.tinylstm_inputs(this.#at.state);
    this.outputs = kernel.tinylstm_outputs(this.#at.state);
    this.#at.input = grown(kernel.memory, this.inputs * CALLS);
    this.#at.output = grown(kernel.memory, this.outputs * CALLS);
    [this.#input, this.#parts] = within(() => borders(file));
    if (this.#parts.reduce((sum, part) => sum + part.size, 0) !== this.outputs) throw new ModelError("shape", "outputs differ in size");
  }

  /** Forgets everything: the state after loading. */
  reset() { this.#kernel.tinylstm_reset(this.#at.state); }

  /** One call: `inputs` int8 values in, `outputs` int8 values out, all output tensors side by side in the file's order. */
  step(x) {
    if (x.length !== this.inputs) throw new ModelError("input", `${x.length} values instead of ${this.inputs}`);
    return this.run(x);
  }

  /** Many calls one after the other: Int8Array of calls · inputs in, of calls · outputs out. */
  run(x) {
    if (!(x instanceof Int8Array)) throw new ModelError("input", "the values are no Int8Array");
    if (x.length % this.inputs) throw new ModelError("input", `${x.length} values are no multiple of ${this.inputs}`);
    const calls = x.length / this.inputs;
    const result = new Int8Array(calls * this.outputs);
    for (let done = 0; done < calls; done += CALLS) {
      const now = Math.min(CALLS, calls - done);
      this.#bytes(this.#at.input, now * this.inputs).set(x.subarray(done * this.inputs, (done + now) * this.inputs));
      accepted(this.#kernel.tinylstm_run(this.#at.model, this.#at.state, this.#at.input, this.#at.output, now));
      result.set(this.#bytes(this.#at.output, now * this.outputs), done * this.outputs);
    }
    return result;
  }

  /** Real numbers as int8 of the input, as TFLM does: in single precision, half away from zero, clamped. */
  quantise(values) {
    return Int8Array.from(values, (value) => {
      const { scale, zeroPoint } = this.#input;
      if (Number.isNaN(value)) throw new ModelError("input", "a value is no number");
      const q = Math.min(256, Math.abs(Math.fround(Math.fround(value) / scale))); // bounded first: infinity has no integer
      const whole = Math.trunc(q) + (q - Math.trunc(q) >= 0.5 ? 1 : 0);
      return Math.max(-128, Math.min(127, zeroPoint + (value < 0 ? -whole : whole)));
    });
  }

  /** The result of one `step` as real numbers: an array of them for each output tensor. */
  dequantise(values) {
    if (values.length !== this.outputs) throw new ModelError("input", `${values.length} values instead of ${this.outputs}`);
    let at = 0;
    return this.#parts.map(({ scale, zeroPoint, size }) => {
      at += size;
      return Array.from(values.subarray(at - size, at), (q) => (q - zeroPoint) * scale);
    });
  }

  /** The bytes of the metadata buffer of this name, null where the file has none. */
  metadata(name) {
    return within(() => {
      const top = Table.root(this.#file);
      const entry = top.tables(6).find((each) => new TextDecoder().decode(each.content(0)) === name);
      return entry ? (top.tables(4)[entry.number(1, "getUint32")]?.content(0) ?? null) : null;
    });
  }

  #bytes(start, length) {
    return new Int8Array(this.#kernel.memory.buffer, start, length); // a new view each time: growing empties the older ones
  }
}

async function bytes(source) {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  const answer = await fetch(source, { credentials: "same-origin" });
  if (!answer.ok) throw new ModelError("input", `${source} gave ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

const grown = (memory, length) => memory.grow(Math.ceil(length / PAGE)) * PAGE;

function accepted(code) {
  if (code >= 0) return code;
  throw new ModelError(REASONS[-code] ?? "schema", "the kernel refuses the file");
}

// DataView checks every access; what it throws means that the file points outside itself.
function within(read) {
  try {
    return read();
  } catch (error) {
    if (error instanceof RangeError) throw new ModelError("truncated", error.message);
    throw error;
  }
}

// Scale, zero point and size of the input and of each output. A float32 border has those of the int8 tensor behind it.
function borders(file) {
  const [graph] = Table.root(file).tables(2);
  const tensors = graph.tables(0);
  const operators = graph.tables(3);
  const describe = (index, neighbour) => {
    const float = tensors[index].number(1, "getInt8") === FLOAT32;
    const quantisation = tensors[float ? neighbour(index) : index]?.table(4);
    const [[scale], [zeroPoint]] = [quantisation?.positions(2, 4) ?? [], quantisation?.positions(3, 8) ?? []];
    if (scale === undefined || zeroPoint === undefined) throw new ModelError("scale", "an int8 tensor needs a scale and a zero point");
    const size = tensors[index].indexes(0).reduce((product, length) => product * length, 1);
    return { scale: quantisation.view.getFloat32(scale, true), zeroPoint: quantisation.view.getInt32(zeroPoint, true), size };
  };
  const follower = (index) => operators.find((each) => each.indexes(1).includes(index))?.indexes(2)[0];
  const origin = (index) => operators.find((each) => each.indexes(2).includes(index))?.indexes(1)[0];
  return [describe(graph.indexes(1)[0], follower), graph.indexes(2).map((index) => describe(index, origin))];
}

// A table of a flatbuffer, read in place. Fields count from 0 in the order of the schema.
class Table {
  constructor(view, position) {
    this.view = view;
    this.position = position;
    this.fields = position - view.getInt32(position, true);
    this.count = (view.getUint16(this.fields, true) - 4) >> 1;
  }

  static root(file) {
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    return new Table(view, view.getUint32(0, true));
  }

  #field(field) {
    const offset = field < this.count ? this.view.getUint16(this.fields + 4 + 2 * field, true) : 0;
    return offset ? this.position + offset : 0;
  }

  number(field, kind) {
    const at = this.#field(field);
    return at ? this.view[kind](at, true) : 0;
  }

  table(field) {
    const at = this.#field(field);
    return at ? new Table(this.view, at + this.view.getUint32(at, true)) : null;
  }

  // Where the items of a vector stand.
  positions(field, size) {
    let at = this.#field(field);
    if (!at) return [];
    at += this.view.getUint32(at, true);
    const count = this.view.getUint32(at, true);
    if (at + 4 + count * size > this.view.byteLength) throw new RangeError("a vector ends outside the file");
    return Array.from({ length: count }, (_, i) => at + 4 + size * i);
  }

  tables(field) {
    return this.positions(field, 4).map((at) => new Table(this.view, at + this.view.getUint32(at, true)));
  }

  indexes(field) { return this.positions(field, 4).map((at) => this.view.getInt32(at, true)); }

  content(field) {
    const places = this.positions(field, 1);
    return new Uint8Array(this.view.buffer, this.view.byteOffset + (places[0] ?? 0), places.length);
  }
}
