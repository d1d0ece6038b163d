package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

// cumulative are the profiles that count since the start of the program. So two of them
// show what happened in between. Whoever reads them makes the difference, since the
// code that reads profiles is larger than the code that writes them.
var cumulative = []string{"heap", "allocs", "block", "mutex"}

// baseSuffix is appended to the name of a file, for the profile at the beginning of the
// time.
const baseSuffix = ".base"

// runDifference takes a cumulative profile twice, and delivers both.
func (r *recording) runDifference(ctx context.Context, s Session) error {
	base := recording{file: r.file + baseSuffix}
	if r.file != "" {
		if err := base.checkTarget(s, ""); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
	}
	var before, after bytes.Buffer
	if err := twoProfiles(ctx, s, &before, &after, r.name, r.time); err != nil {
		return err
	}
	if r.file == "" {
		if err := copyOut(baseWriter{s}, [][]byte{before.Bytes()}); err != nil {
			return err
		}
		return r.deliver(ctx, s, [][]byte{after.Bytes()})
	}
	if err := base.write(s, [][]byte{before.Bytes()}); err != nil {
		return err
	}
	if err := r.write(s, [][]byte{after.Bytes()}); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(s, "see what changed with: go tool pprof -base %s %s\n", base.file, r.file); err != nil {
		return err
	}
	return cutShort(ctx)
}

// twoProfiles writes a profile at the beginning of the next d, and one at its end.
func twoProfiles(ctx context.Context, s Session, before, after io.Writer, name string, d time.Duration) error {
	if err := writeProfile(before, name); err != nil {
		return err
	}
	if err := sleep(ctx, s, name+" profile", d, nil); err != nil {
		return err
	}
	return writeProfile(after, name)
}

// baseWriter sends the base of a profile to the client.
type baseWriter struct{ s Session }

// Write sends p.
func (w baseWriter) Write(p []byte) (int, error) { return len(p), w.s.Base(p) }
