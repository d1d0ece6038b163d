package command

import (
	"bytes"
	"context"
	"fmt"
	"runtime/trace"
	"strings"
	"sync"
	"time"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/vitals"
)

const (
	traceTime    = 5 * time.Second
	maxTraceTime = 10 * time.Minute

	// traceMemory is the size at which a trace is stopped. traceRest limits what
	// may still arrive after that: the contents of the buffers of the runtime's
	// threads, and the stacks of all events.
	traceMemory = 256 << 20
	traceRest   = 64 << 20
)

func runTrace(ctx context.Context, s Session, args []string) error {
	var r recording
	rest, err := parseFlags("trace", args, r.flags(maxTraceTime))
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("trace: it takes flags only, not %q; help trace says more", plaintext.Clip(strings.Join(rest, " "), 40))
	}
	if err := r.checkTarget(s, "trace"); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	if r.time == 0 {
		r.time = traceTime
	}
	pieces, err := takeTrace(ctx, s, r.time, traceMemory)
	if err != nil {
		return err
	}
	return r.deliver(ctx, s, pieces)
}

// takeTrace traces the program until the time is over or the trace has most bytes.
func takeTrace(ctx context.Context, s Session, d time.Duration, most int) ([][]byte, error) {
	b := &traceBuffer{most: most, full: make(chan struct{})}
	began := time.Now()
	if err := b.fill(ctx, s, d); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost {
		return nil, fmt.Errorf("trace: there was more than %s in %v; try fewer -seconds",
			vitals.Bytes(uint64(most+traceRest)), time.Since(began).Round(time.Millisecond))
	}
	if b.n >= most {
		s.Remark(fmt.Sprintf("warning: the trace was ended after %v, for it had %s; it is complete until then",
			time.Since(began).Round(time.Millisecond), vitals.Bytes(uint64(b.n))))
	}
	return b.pieces, nil
}

// traceBuffer keeps a trace in memory. The runtime ignores the errors of its writer
// (startLocked in runtime/trace), and a trace that is cut off anywhere cannot be
// read. So the buffer asks early enough to be stopped: it closes full.
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
