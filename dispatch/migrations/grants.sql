-- Least privilege, applied again after every migration. siaga_app is what the server works as: it can add to the journal
-- and the audit tables but never change them. siaga_reader is for Grafana and reports: no personal data (no caller, no
-- free text, no address), no accounts, no journal.
GRANT USAGE ON SCHEMA public TO siaga_app, siaga_reader;
GRANT SELECT ON migration TO siaga_app, siaga_reader;
GRANT SELECT, INSERT ON journal, account_audit, caller_reading TO siaga_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON
snapshot, answer, report, caller, incident, unit, assignment, account, session, known_browser, device_token, leader, orphan,
node
TO siaga_app;
GRANT SELECT, INSERT ON position TO siaga_app;
GRANT SELECT, INSERT, DELETE ON photo TO siaga_app;
GRANT EXECUTE ON FUNCTION keep_positions (timestamptz, integer) TO siaga_app;
GRANT SELECT (
    region, report_id, channel, state, rang_at, received_at, answered_at, submitted_at, ended_at, kind, lon, lat,
    incident_id, dismissed_for, repeat_of
) ON report TO siaga_reader;
GRANT SELECT (
    region, incident_id, kind, priority, highest_priority, lon, lat, state, first_ring_at, opened_at, plan, mode,
    alarm_level, zone, report_ids, assignment_ids, first_assigned_at, first_at_scene_at, first_capable_at_scene_at,
    warned_at, warning_level, warning_acked_at, breached_at, unfilled, merged_into, ended_at, version
) ON incident TO siaga_reader;
GRANT SELECT (
    region, unit_id, unit_type, agency, state, capabilities, mode, home_post, post, moving_up_since, assignment_id,
    since, moves_today, duty_since
) ON unit TO siaga_reader;
GRANT SELECT (
    region, assignment_id, incident_id, unit_id, capability, first, state, assigned_at, eta_s, arrival_sd_s, ack_due_at,
    alerts, delivered_at, seen_at, acknowledged_at, en_route_at, at_scene_at, geofence_at, at_patient_at,
    transporting_at, at_hospital_at, ended_at, hospital_id, device_at
) ON assignment TO siaga_reader;
GRANT SELECT ON position TO siaga_reader;
