// Alarms: a banner for each that nobody has acknowledged, and each child's list of those so far.

import { copy, make, paint } from "./elements.js";
import { failureWords, request } from "./session.js";
import { dateWords, strainNumber } from "./words.js";

const seconds = (ts) => Date.parse(ts) / 1000;

function titleWords(alarm, name) {
  if (alarm.episodes === 0) return `${name}: an alarm was taken back`;
  return `${name}: strain ${alarm.ended_at === null ? "is" : "was"} above the usual`;
}

export class Alarms {
  #child;
  #banners;
  #fields;
  #known = new Map(); // id → {alarm, banner or null}
  #cursor = "";
  #removed = false;

  /** banners: the page's element for the banners of all children. */
  constructor(child, banners) {
    this.#child = child;
    this.#banners = banners;
    ({ element: this.element, fields: this.#fields } = copy("past-alarms"));
    this.element.addEventListener("toggle", () => {
      if (this.element.open && this.#cursor === "") this.#more();
    });
    this.#fields.more.addEventListener("click", () => this.#more());
  }

  /** Fetches what is open. */
  async load() {
    const open = await request("GET", `${this.#path}?open=true`);
    const ids = new Set(open.items.map((alarm) => alarm.id));
    for (const alarm of open.items) this.take(alarm);
    // One that was acknowledged and ended while this page was away is not among the open ones any more.
    for (const [id, { banner }] of this.#known) if (banner !== null && !ids.has(id)) await this.#look(id);
  }

  /** Takes a state of an alarm in; one that is older than what is known, arriving late or twice, changes nothing. */
  take(alarm) {
    const before = this.#known.get(alarm.id);
    if (this.#removed) return; // an answer to what was asked before
    if (before !== undefined && before.alarm.revision >= alarm.revision) return;
    this.#known.set(alarm.id, { alarm, banner: before?.banner ?? null });
    paint(this.#write);
  }

  /** The child is not shown any more. */
  remove() {
    for (const { banner } of this.#known.values()) banner?.element.remove();
    this.#known.clear();
    this.#removed = true;
  }

  get #path() {
    return `/api/children/${encodeURIComponent(this.#child.id)}/alerts`;
  }

  #write = () => {
    for (const entry of this.#known.values()) {
      if (entry.alarm.acknowledged_at !== null) {
        entry.banner?.element.remove();
        entry.banner = null;
      } else {
        entry.banner ??= this.#raise(entry.alarm.id);
        this.#say(entry.banner.fields, entry.alarm);
      }
    }
    const alarms = [...this.#known.values()].map(({ alarm }) => alarm);
    alarms.sort((a, b) => seconds(b.began_at) - seconds(a.began_at));
    this.#fields.list.replaceChildren(...alarms.map((alarm) => this.#entry(alarm)));
    if (alarms.length > 0) this.#fields.none.textContent = "";
  };

  #raise(id) {
    const banner = copy("alarm");
    banner.fields.acknowledge.addEventListener("click", () => this.#acknowledge(id, banner.fields));
    this.#banners.prepend(banner.element);
    return banner;
  }

  /** Writes only what differs: an alert that is written anew is read out anew. */
  #say(fields, alarm) {
    const said = {
      title: titleWords(alarm, this.#child.display_name),
      message: alarm.message,
      day: `${dateWords(seconds(alarm.began_at), this.#child.zone)}. Highest strain ${strainNumber(alarm.peak)} of 100.`,
    };
    for (const [name, text] of Object.entries(said)) if (fields[name].textContent !== text) fields[name].textContent = text;
  }

  #entry(alarm) {
    const by = alarm.acknowledged_by === null ? "" : ` by ${alarm.acknowledged_by}`;
    const seen = alarm.acknowledged_at === null ? "Not acknowledged yet." : `Acknowledged${by}.`;
    return make("li", `${dateWords(seconds(alarm.began_at), this.#child.zone)}: ${alarm.message} ${seen}`);
  }

  async #acknowledge(id, fields) {
    fields.acknowledge.disabled = true;
    try {
      this.take(await request("POST", `/api/alerts/${encodeURIComponent(id)}/ack`));
    } catch (error) {
      fields.failure.textContent = failureWords(error);
    }
    fields.acknowledge.disabled = false;
  }

  async #look(id) {
    this.take(await request("GET", `/api/alerts/${encodeURIComponent(id)}`));
  }

  async #more() {
    try {
      const page = await request("GET", this.#cursor ? `${this.#path}?cursor=${encodeURIComponent(this.#cursor)}` : this.#path);
      for (const alarm of page.items) this.take(alarm);
      this.#cursor = page.next_cursor;
      this.#fields.more.hidden = this.#cursor === null;
      this.#fields.none.textContent = this.#known.size === 0 ? "No alarm so far." : "";
    } catch {
      this.#fields.none.textContent = "The list could not be fetched. Close it and open it again in a moment.";
    }
  }
}
