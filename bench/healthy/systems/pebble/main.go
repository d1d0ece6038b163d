// Command pebble embeds the store Pebble, with readers and writers.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve}) }

type quiet struct{}

func (quiet) Infof(string, ...any)              {}
func (quiet) Errorf(string, ...any)             {}
func (quiet) Fatalf(format string, args ...any) { program.Fail(fmt.Sprintf(format, args...)) }

func serve(r *program.Run) string {
	db := program.Must(pebble.Open(filepath.Join(r.Dir, "data"), &pebble.Options{Logger: quiet{}, MemTableSize: 1 << 20}))
	program.Check(db.Set(key(1), []byte("value"), pebble.Sync))
	value := make([]byte, 500)
	r.Work(24, func(_ context.Context, worker, i int) error {
		if worker < 12 {
			return db.Set(key(rand.IntN(20_000)), value, &pebble.WriteOptions{Sync: i%50 == 0})
		}
		_, closer, err := db.Get(key(rand.IntN(20_000)))
		if errors.Is(err, pebble.ErrNotFound) {
			return nil
		}
		if err == nil {
			err = closer.Close()
		}
		return err
	})
	return ""
}

func key(n int) []byte { return fmt.Appendf(nil, "key%06d", n) }
