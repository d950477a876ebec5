/** One operator's desk: what lies on it (`glance`), what can be done (`deeds`), and the sentences of the command line. */
import { isComing } from "../lib/danger";
import { L } from "../lib/lang.svelte";
import type { Order } from "./commandline";
import { Deeds } from "./deeds.svelte";

export class Desk extends Deeds {
  async obey(order: Order): Promise<void> {
    const unit = "unit" in order ? this.live.world.units.get(order.unit) : undefined;
    switch (order.do) {
      case "send":
        this.select(order.incident);
        await this.loadHistory(order.incident);
        return this.override(order.incident, order.unit);
      case "withdraw": {
        const a = unit?.assignment_id ? this.live.world.assignments.get(unit.assignment_id) : undefined;
        if (!a || !isComing(a))
          return this.say(L(`${order.unit} tidak sedang menuju lokasi`, `${order.unit} is not on its way`), "bad");
        return this.withdraw(a);
      }
      case "state":
        return unit ? this.setUnit(unit, order.to, order.reason) : undefined;
      case "move":
        return this.move(order.unit, order.post);
      case "close":
        return this.close(order.incident);
      case "cancel":
        return this.cancel(order.incident);
      case "reopen":
        return this.reopen(order.incident, L("Dibuka lagi oleh operator", "Reopened by operator"));
      case "merge":
        return this.merge(order.incident, order.into);
      case "note":
        return void (await this.run(
          "note_incident",
          { incident_id: order.incident, text: order.text },
          L("Dicatat", "Noted"),
        ));
      case "alarm":
        return this.raise(order.incident);
      case "open":
        return this.select(order.incident);
      case "replay":
        return this.play(order.incident);
      case "print":
        this.select(order.incident);
        await this.loadHistory(order.incident);
        return print();
      case "find":
        this.filter = order.text;
        return;
      case "past":
        this.sheetSeed = order.text;
        this.sheet = "find";
        return;
      case "log":
      case "handover":
        this.sheet = order.do;
        return;
      case "roads":
        this.hindrancesOpen = true;
        return;
      case "new":
        this.calls = { report_id: null };
        return;
      case "answer":
        return this.answerOldest();
      case "undo":
        return this.said.undoLast();
    }
  }
}
