/** The kind of a dragged unit: its id travels from a list to the map or to an incident's row. */
export const UNIT_DRAG = "application/x-siaga-unit";
