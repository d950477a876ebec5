-- The server's own rights on what managers keep; readers have none: a view's addressees are people.
GRANT SELECT, INSERT, UPDATE, DELETE ON scenario, board_view, board_mark, city_alert TO siaga_app;
