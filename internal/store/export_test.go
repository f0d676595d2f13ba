package store

import "database/sql"

// Pools gives tests the pools themselves.
func (db *DB) Pools() (writer, reader *sql.DB) { return db.w, db.r }
