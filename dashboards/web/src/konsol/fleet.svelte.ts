/** What one operator can do about units that serve nobody: duty, out of service, where they stand. */
import { L } from "../lib/lang.svelte";
import type { MoveUp, Unit } from "../lib/types";
import { Commanding } from "./commanding.svelte";
import { postName } from "./words";

export interface Suggestion {
  unit: Unit;
  move: MoveUp;
}

export class Fleet extends Commanding {
  /** Move-ups that go out by themselves unless somebody says no: the soonest first, then the most useful. */
  suggestions = $derived<Suggestion[]>(
    this.units
      .filter((unit) => unit.state === "available" && unit.move_up && !unit.move_up.declined)
      .map((unit) => ({ unit, move: unit.move_up! }))
      .sort((a, b) => a.move.due_at.localeCompare(b.move.due_at) || (b.move.gain ?? 0) - (a.move.gain ?? 0)),
  );

  /** Send a free unit to stand at a post; undone it goes back to where it stood. */
  async move(unit_id: string, post: string, reason = ""): Promise<void> {
    const from = this.live.world.units.get(unit_id)?.post;
    const name = postName(this.region, post);
    await this.run(
      "order_move",
      { unit_id, post, reason },
      L(`${unit_id} digeser ke ${name}`, `${unit_id} moves to ${name}`),
      from && from !== post
        ? () => {
            const back = postName(this.region, from);
            void this.run(
              "order_move",
              { unit_id, post: from, reason: L("Pergeseran diurungkan", "Move undone") },
              L(`${unit_id} kembali ke ${back}`, `${unit_id} goes back to ${back}`),
            );
          }
        : undefined,
    );
  }

  async accept({ unit, move }: Suggestion): Promise<void> {
    await this.move(unit.unit_id, move.post, L("Usulan disetujui", "Suggestion accepted"));
  }

  /** The unit stays; the same is not suggested again for a while. */
  async decline({ unit, move }: Suggestion): Promise<void> {
    const { unit_id } = unit;
    const here = postName(this.region, unit.post);
    await this.run(
      "decline_move",
      { unit_id, post: move.post },
      here
        ? L(`${unit_id} tetap di ${here}`, `${unit_id} stays at ${here}`)
        : L(`${unit_id} tetap`, `${unit_id} stays`),
      () => void this.move(unit_id, move.post, L("Penolakan diurungkan", "Refusal undone")),
    );
  }

  async setUnit(unit: Unit, to: "available" | "out_of_service" | "off_duty", given = ""): Promise<void> {
    const id = unit.unit_id;
    if (to === "off_duty")
      return void (await this.run(
        "end_duty",
        { unit_id: id },
        L(`${id} lepas tugas`, `${id} off duty`),
        () =>
          void this.run(
            "start_duty",
            { unit_id: id, crew: unit.crew },
            L(`${id} bertugas lagi`, `${id} on duty again`),
          ),
      ));
    if (to === "available") {
      const verb = unit.state === "off_duty" ? "start_duty" : "return_to_service";
      return void (await this.run(
        verb,
        verb === "start_duty" ? { unit_id: id, crew: unit.crew } : { unit_id: id },
        L(`${id} siap`, `${id} available`),
      ));
    }
    const reason =
      given.length >= 3
        ? given
        : await this.reason(
            L(`${id} tidak siap`, `${id} out of service`),
            [
              L("Kendaraan rusak", "Vehicle breakdown"),
              L("Isi bahan bakar", "Refuelling"),
              L("Pembersihan", "Cleaning"),
              L("Istirahat awak", "Crew break"),
            ],
            L("Catat", "Note"),
          );
    if (reason)
      await this.run(
        "take_out_of_service",
        { unit_id: id, reason },
        L(`${id} tidak siap`, `${id} out of service`),
        () => void this.run("return_to_service", { unit_id: id }, L(`${id} siap`, `${id} available`)),
      );
  }
}
