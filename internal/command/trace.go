package command

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/trace"
	"strings"
	"sync"
	"time"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/values"
	"github.com/gomanhole/oneshot/internal/vitals"
)

const (
	traceTime    = 5 * time.Second
	maxTraceTime = 10 * time.Minute

	// traceMemory is the size at which a trace is stopped. traceRest limits the bytes that
	// may arrive after that: the contents of the buffers of the runtime's threads, and
	// the stacks of all events.
	traceMemory = 256 << 20
	traceRest   = 64 << 20
)

// traceFlags are the flags of trace.
type traceFlags struct {
	recording
	last bool
}

func (f *traceFlags) options() []option {
	return append(f.recording.options(maxTraceTime), option{"last", &f.last})
}

func runTrace(ctx context.Context, s Session, args []string) error {
	args, form := CutJSON(args)
	if form != AsText {
		return noJSON("trace", "a trace is a file for go tool trace")
	}
	var r traceFlags
	rest, err := parseFlags("trace", args, r.options()...)
	switch {
	case err != nil:
		return err
	case r.last && r.time != 0:
		return errors.New("trace: -last is what was recorded before; it takes no -seconds")
	case r.last && s.Given().FlightRecorder == nil:
		return errors.New("trace: -last: the program has given no flight recorder (Options.FlightRecorder)")
	case len(rest) > 0:
		return fmt.Errorf("trace: it takes flags only, not %q; help trace says more", plaintext.Clip(strings.Join(rest, " "), 40))
	}
	if err := r.checkTarget(s, "trace"); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	var pieces [][]byte
	if r.last {
		pieces, err = lastTrace(s.Given().FlightRecorder, traceMemory)
	} else {
		pieces, err = recordTrace(ctx, s, cmp.Or(r.time, traceTime), traceMemory)
	}
	if err != nil {
		return err
	}
	return r.deliver(ctx, s, pieces)
}

// lastTrace returns what the program's flight recorder has, if it is not much more than most
// bytes.
func lastTrace(recorder io.WriterTo, most int) ([][]byte, error) {
	b := &traceBuffer{most: most, full: make(chan struct{})}
	if _, err := recorder.WriteTo(b); err != nil {
		return nil, fmt.Errorf("trace: -last: the program's flight recorder: %w", values.Contain(err))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost {
		return nil, fmt.Errorf("trace: -last: the program's flight recorder has more than %s; set a smaller MaxBytes", vitals.Bytes(uint64(most+traceRest)))
	}
	return b.pieces, nil
}

// recordTrace traces the program until the time is over or the trace has most bytes.
func recordTrace(ctx context.Context, s Session, d time.Duration, most int) ([][]byte, error) {
	b := &traceBuffer{most: most, full: make(chan struct{})}
	began := time.Now()
	if err := b.fill(ctx, s, d); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost {
		return nil, fmt.Errorf("trace: it had more than %s after %v; try fewer -seconds",
			vitals.Bytes(uint64(most+traceRest)), time.Since(began).Round(time.Millisecond))
	}
	if b.n >= most {
		s.Remark(fmt.Sprintf("warning: the trace was stopped after %v, when it had %s; it is complete up to that point",
			time.Since(began).Round(time.Millisecond), vitals.Bytes(uint64(b.n))))
	}
	return b.pieces, nil
}

// traceBuffer keeps a trace in memory. The runtime ignores the errors of its writer
// (startLocked in runtime/trace), and a trace that was cut off cannot be read. So the
// buffer closes full while there is still room for the rest.
type traceBuffer struct {
	most int
	full chan struct{} // closed when there are most bytes

	mu     sync.Mutex // guards the fields below
	pieces [][]byte
	n      int
	lost   bool // more than most+traceRest bytes arrived
}

// fill traces until the time is over, the buffer is full, or ctx ends. The trace is
// stopped when fill returns.
func (b *traceBuffer) fill(ctx context.Context, s Session, d time.Duration) error {
	if err := trace.Start(b); err != nil {
		return fmt.Errorf("trace: %w, by another session or by the program itself; try again when it has ended", err)
	}
	defer trace.Stop()
	return sleep(ctx, s, "trace", d, b.full)
}

// Write keeps a copy of p. It always succeeds.
func (b *traceBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost = b.lost || b.n+len(p) > b.most+traceRest; b.lost {
		return len(p), nil
	}
	below := b.n < b.most
	b.pieces = append(b.pieces, bytes.Clone(p))
	b.n += len(p)
	if below && b.n >= b.most {
		close(b.full)
	}
	return len(p), nil
}
