// Command badger embeds the store Badger, with readers, writers and its collector.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve}) }

func serve(r *program.Run) string {
	o := badger.DefaultOptions(filepath.Join(r.Dir, "data")).WithLogger(nil).WithMemTableSize(4 << 20).WithValueThreshold(1 << 10)
	db := program.Must(badger.Open(o))
	go collect(db)
	program.Check(set(db, 1))
	r.Work(24, func(_ context.Context, worker, _ int) error {
		if worker < 12 {
			return set(db, rand.IntN(20_000))
		}
		return db.View(func(t *badger.Txn) error {
			_, err := t.Get(key(rand.IntN(20_000)))
			if errors.Is(err, badger.ErrKeyNotFound) {
				return nil
			}
			return err
		})
	})
	return ""
}

func set(db *badger.DB, n int) error {
	return db.Update(func(t *badger.Txn) error { return t.Set(key(n), make([]byte, 200)) })
}

func key(n int) []byte { return fmt.Appendf(nil, "key%06d", n) }

func collect(db *badger.DB) {
	for range time.Tick(5 * time.Second) {
		_ = db.RunValueLogGC(0.5) // an error says that there was nothing to collect
	}
}
