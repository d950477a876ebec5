DELETE FROM orphan WHERE id = $1;
