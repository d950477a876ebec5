-- One group commit: lines, the rows that follow from them and the idempotency answers. One statement, so one round trip
-- and one transaction. $1 region, $2 writer; the lines as one array a column: $3 seq, $4 at, $5 actor_role,
-- $6 actor_name, $7 kind, $8 body, $9 command_id; then one JSON array each: $10 reports, $11 incidents, $12 units,
-- $13 assignments, $14 answers. Lines come as column arrays because their bodies would otherwise be parsed twice
-- (dispatch/bench_journal.py measures both).
WITH line AS (
    INSERT INTO journal (region, seq, at, actor_role, actor_name, kind, body, command_id, writer)
    SELECT $1, seq, at, actor_role, actor_name, kind, body, command_id, $2::uuid
    FROM unnest(
        $3::bigint [], $4::timestamptz [], $5::text [], $6::text [], $7::text [], $8::json [], $9::text []
    ) AS _ (seq, at, actor_role, actor_name, kind, body, command_id)
),

report_row AS (
    INSERT INTO report (
        region, report_id, channel, state, rang_at, received_at, answered_at, submitted_at, ended_at, kind,
        place, description, call_id, incident_id, answered_by, dismissed_for, repeat_of
    )
    SELECT
        $1, report_id, channel, state, rang_at, received_at, answered_at, submitted_at, ended_at, kind, place,
        description, call_id, incident_id, answered_by, dismissed_for, repeat_of
    FROM json_to_recordset($10::json) AS _ (
        report_id text, channel text, state text, rang_at timestamptz, received_at timestamptz,
        answered_at timestamptz, submitted_at timestamptz, ended_at timestamptz, kind text, place json,
        description text, call_id text, incident_id text, answered_by text, dismissed_for text, repeat_of text
    )
    ON CONFLICT (region, report_id) DO UPDATE SET (
        channel, state, rang_at, received_at, answered_at, submitted_at, ended_at, kind, place, description,
        call_id, incident_id, answered_by, dismissed_for, repeat_of
    ) = ROW (
        excluded.channel, excluded.state, excluded.rang_at, excluded.received_at, excluded.answered_at,
        excluded.submitted_at, excluded.ended_at, excluded.kind, excluded.place, excluded.description,
        excluded.call_id, excluded.incident_id, excluded.answered_by, excluded.dismissed_for,
        excluded.repeat_of
    )
),

caller_row AS (
    INSERT INTO caller (region, report_id, phone, name)
    SELECT $1, report_id, caller ->> 'phone', caller ->> 'name'
    FROM json_to_recordset($10::json) AS _ (report_id text, caller json)
    WHERE caller ->> 'phone' IS NOT NULL OR caller ->> 'name' IS NOT NULL
    ON CONFLICT (region, report_id) DO UPDATE SET (phone, name) = ROW (excluded.phone, excluded.name)
),

incident_row AS (
    INSERT INTO incident (
        region, incident_id, kind, priority, highest_priority, place, state, first_ring_at, opened_at, plan,
        mode, alarm_level, zone, report_ids, assignment_ids, first_assigned_at, first_at_scene_at,
        first_capable_at_scene_at, warned_at, warning_level, warning_due_at, warning_acked_at, breached_at,
        retry_at, required, unfilled, "like", chance,
        predicted_at, confirmed, confirm_due_at, assigned_count, merged_into, state_before_merge,
        reports_before_merge, ended_at, outcome, ended_by, triage, notes, patients, version
    )
    SELECT
        $1, incident_id, kind, priority, highest_priority, place, state, first_ring_at, opened_at, plan, mode,
        alarm_level, zone, report_ids, assignment_ids, first_assigned_at, first_at_scene_at,
        first_capable_at_scene_at, warned_at, warning_level, warning_due_at, warning_acked_at, breached_at,
        retry_at, required, unfilled, "like", chance,
        predicted_at, confirmed, confirm_due_at, assigned_count, merged_into, state_before_merge,
        reports_before_merge, ended_at, outcome, ended_by, triage, notes, patients, version
    FROM json_to_recordset($11::json) AS _ (
        incident_id text, kind text, priority integer, highest_priority integer, place json, state text,
        first_ring_at timestamptz, opened_at timestamptz, plan text, mode text, alarm_level integer,
        zone text, report_ids text[], assignment_ids text[], first_assigned_at timestamptz,
        first_at_scene_at timestamptz, first_capable_at_scene_at timestamptz, warned_at timestamptz,
        warning_level integer, warning_due_at timestamptz, warning_acked_at timestamptz,
        breached_at timestamptz, retry_at timestamptz, required text[], unfilled text[], "like" json,
        chance double precision, predicted_at timestamptz, confirmed boolean, confirm_due_at timestamptz,
        assigned_count integer, merged_into text, state_before_merge text, reports_before_merge text[],
        ended_at timestamptz, outcome text, ended_by text, triage json, notes text[], patients integer, version integer
    )
    ON CONFLICT (region, incident_id) DO UPDATE SET (
        kind, priority, highest_priority, place, state, first_ring_at, opened_at, plan, mode, alarm_level,
        zone, report_ids, assignment_ids, first_assigned_at, first_at_scene_at, first_capable_at_scene_at,
        warned_at, warning_level, warning_due_at, warning_acked_at, breached_at, retry_at, required, unfilled,
        "like", chance, predicted_at, confirmed,
        confirm_due_at, assigned_count, merged_into, state_before_merge, reports_before_merge, ended_at,
        outcome, ended_by, triage, notes, patients, version
    ) = ROW (
        excluded.kind, excluded.priority, excluded.highest_priority, excluded.place, excluded.state,
        excluded.first_ring_at, excluded.opened_at, excluded.plan, excluded.mode, excluded.alarm_level,
        excluded.zone, excluded.report_ids, excluded.assignment_ids, excluded.first_assigned_at,
        excluded.first_at_scene_at, excluded.first_capable_at_scene_at, excluded.warned_at,
        excluded.warning_level, excluded.warning_due_at, excluded.warning_acked_at,
        excluded.breached_at, excluded.retry_at, excluded.required, excluded.unfilled, excluded."like",
        excluded.chance, excluded.predicted_at, excluded.confirmed, excluded.confirm_due_at,
        excluded.assigned_count, excluded.merged_into, excluded.state_before_merge,
        excluded.reports_before_merge, excluded.ended_at, excluded.outcome, excluded.ended_by, excluded.triage,
        excluded.notes, excluded.patients, excluded.version
    )
),

unit_row AS (
    INSERT INTO unit (
        region, unit_id, unit_type, agency, state, capabilities, mode, home_post, post, moving_up_since,
        move_up, assignment_id, crew, since, out_of_service_for, faults, moves_today, duty_since
    )
    SELECT
        $1, unit_id, unit_type, agency, state, capabilities, mode, home_post, post, moving_up_since,
        move_up, assignment_id, crew, since, out_of_service_for, faults, moves_today, duty_since
    FROM json_to_recordset($12::json) AS _ (
        unit_id text, unit_type text, agency text, state text, capabilities text[], mode text, home_post text,
        post text, moving_up_since timestamptz, move_up json, assignment_id text, crew text[], since timestamptz,
        out_of_service_for text, faults text[], moves_today integer, duty_since timestamptz
    )
    ON CONFLICT (region, unit_id) DO UPDATE SET (
        unit_type, agency, state, capabilities, mode, home_post, post, moving_up_since, move_up, assignment_id, crew,
        since, out_of_service_for, faults, moves_today, duty_since
    ) = ROW (
        excluded.unit_type, excluded.agency, excluded.state, excluded.capabilities, excluded.mode,
        excluded.home_post, excluded.post, excluded.moving_up_since, excluded.move_up, excluded.assignment_id,
        excluded.crew,
        excluded.since, excluded.out_of_service_for, excluded.faults, excluded.moves_today, excluded.duty_since
    )
),

assignment_row AS (
    INSERT INTO assignment (
        region, assignment_id, incident_id, unit_id, capability, state, assigned_at, assigned_by, first,
        eta_s, arrival_sd_s, ack_due_at, alerts, voice_task_at, delivered_at, seen_at, acknowledged_at,
        en_route_at, at_scene_at, geofence_at, at_patient_at, transporting_at, at_hospital_at, ended_at,
        hospital_id, notice, check_due_at, silent_at, reason, device_at, receipts
    )
    SELECT
        $1, assignment_id, incident_id, unit_id, capability, state, assigned_at, assigned_by, first, eta_s,
        arrival_sd_s, ack_due_at, alerts, voice_task_at, delivered_at, seen_at, acknowledged_at, en_route_at,
        at_scene_at, geofence_at, at_patient_at, transporting_at, at_hospital_at, ended_at, hospital_id,
        notice, check_due_at, silent_at, reason, device_at, receipts
    FROM json_to_recordset($13::json) AS _ (
        assignment_id text, incident_id text, unit_id text, capability text, state text,
        assigned_at timestamptz, assigned_by text, first boolean, eta_s double precision,
        arrival_sd_s double precision, ack_due_at timestamptz, alerts integer, voice_task_at timestamptz,
        delivered_at timestamptz, seen_at timestamptz, acknowledged_at timestamptz, en_route_at timestamptz,
        at_scene_at timestamptz, geofence_at timestamptz, at_patient_at timestamptz,
        transporting_at timestamptz, at_hospital_at timestamptz, ended_at timestamptz, hospital_id text,
        notice text, check_due_at timestamptz, silent_at timestamptz, reason text, device_at json, receipts json
    )
    ON CONFLICT (region, assignment_id) DO UPDATE SET (
        incident_id, unit_id, capability, state, assigned_at, assigned_by, first, eta_s, arrival_sd_s,
        ack_due_at, alerts, voice_task_at, delivered_at, seen_at, acknowledged_at, en_route_at, at_scene_at,
        geofence_at, at_patient_at, transporting_at, at_hospital_at, ended_at, hospital_id, notice,
        check_due_at, silent_at, reason, device_at, receipts
    ) = ROW (
        excluded.incident_id, excluded.unit_id, excluded.capability, excluded.state, excluded.assigned_at,
        excluded.assigned_by, excluded.first, excluded.eta_s, excluded.arrival_sd_s, excluded.ack_due_at,
        excluded.alerts, excluded.voice_task_at, excluded.delivered_at, excluded.seen_at,
        excluded.acknowledged_at, excluded.en_route_at, excluded.at_scene_at, excluded.geofence_at,
        excluded.at_patient_at, excluded.transporting_at, excluded.at_hospital_at, excluded.ended_at,
        excluded.hospital_id, excluded.notice, excluded.check_due_at, excluded.silent_at, excluded.reason,
        excluded.device_at, excluded.receipts
    )
)

-- The first answer stands: a repeat under the same key never replaces it.
INSERT INTO answer (region, scope, key, body_hash, status, body, at)
SELECT $1, scope, key, body_hash, status, decode(body, 'base64'), at
FROM json_to_recordset($14::json) AS _ (
    scope text, key text, body_hash text, status smallint, body text, at timestamptz
)
ON CONFLICT (region, scope, key) DO NOTHING;
