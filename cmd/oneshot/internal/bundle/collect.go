//go:build unix

package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
)

// Task makes one part.
type Task struct {
	Name    string
	Command string        // for the manifest
	Limit   time.Duration // how long it may take
	Whole   bool          // a beginning of the part is of no use

	// Make writes the part to w. It returns soon after ctx has ended.
	Make func(ctx context.Context, w io.Writer) (Outcome, error)
}

// Outcome is what is known of a part besides its bytes.
type Outcome struct {
	Remark   string
	Stopped  *Stops
	Complete bool // the part is complete, although there was an error, such as an interrupt
	LeaveOut bool // what was written is of no use
}

// The causes of an early end of Collect.
var (
	ErrInterrupted  = errors.New("interrupted")
	ErrProgramEnded = errors.New("the program has ended")
)

// graceTime is how long a task may take to return after its time is over.
const graceTime = 5 * time.Second

// Collect makes one part after the other and writes the bundle, with what m says of it and
// the manifest at its end. If ctx ends, or a task returns ErrProgramEnded, the rest is left out,
// and the bundle is complete up to there. show is called with the task that begins, and its
// number. Only errors of the Writer are returned.
func Collect(ctx context.Context, w *Writer, m *Manifest, tasks []Task, show func(n int, t Task)) error {
	m.End = Complete
	for i, t := range tasks {
		var why error
		switch {
		case m.End == ProgramEnded:
			why = ErrProgramEnded
		case ctx.Err() != nil:
			m.End, why = Interrupted, ErrInterrupted
		}
		if why != nil {
			m.Parts = append(m.Parts, Part{Name: t.Name, Command: t.Command, Began: time.Now(), Limit: t.Limit.Seconds(), Error: "left out: " + why.Error()})
			continue
		}
		show(i, t)
		part, err := t.do(ctx, w)
		if err != nil {
			return err
		}
		if part.ended {
			m.End = ProgramEnded
		}
		m.Stopped = m.Stopped.Plus(part.Stopped)
		m.Parts = append(m.Parts, part.Part)
	}
	if ctx.Err() != nil && m.End == Complete { // in the last task
		m.End = Interrupted
	}
	m.Ended = time.Now()
	return w.Close(m)
}

// made is a part that was made.
type made struct {
	Part
	ended bool // the program has ended meanwhile
}

// do makes a part and writes it. The error is that of the Writer.
func (t Task) do(ctx context.Context, w *Writer) (made, error) {
	part := made{Part: Part{Name: t.Name, Command: t.Command, Began: time.Now(), Limit: t.Limit.Seconds()}}
	content := new(buffer)
	outcome, err := t.make(ctx, content)
	part.Seconds = time.Since(part.Began).Seconds()
	part.Remark, part.Stopped = display.Escape(outcome.Remark), outcome.Stopped // somebody may cat the manifest
	data := content.close()
	if err != nil {
		part.Error = display.Escape(err.Error())
		part.ended = errors.Is(err, ErrProgramEnded)
		if len(data) == 0 || t.Whole && !outcome.Complete {
			return part, nil
		}
	}
	if outcome.LeaveOut {
		return part, nil
	}
	part.Present, part.Bytes = true, int64(len(data))
	return part, w.Add(t.Name, part.Began, bytes.NewReader(data), part.Bytes)
}

// make runs Make. If it does not return after its time is over, make leaves it behind.
func (t Task) make(ctx context.Context, content *buffer) (Outcome, error) {
	limited, cancel := context.WithTimeoutCause(ctx, t.Limit, fmt.Errorf("it has taken longer than %v", t.Limit))
	defer cancel()
	type result struct {
		outcome Outcome
		err     error
	}
	ended := make(chan result, 1)
	go func() {
		outcome, err := t.Make(limited, content)
		ended <- result{outcome, err}
	}()
	var r result
	select {
	case r = <-ended:
	case <-limited.Done():
		select {
		case r = <-ended:
		case <-time.After(graceTime):
			return Outcome{}, fmt.Errorf("%w, and it does not stop", cause(limited))
		}
	}
	if r.err != nil && limited.Err() != nil && !errors.Is(r.err, ErrProgramEnded) {
		r.err = fmt.Errorf("%w: %w", cause(limited), r.err)
	}
	return r.outcome, r.err
}

// cause returns why a task has to stop.
func cause(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return ErrInterrupted
}

// errTooLarge is the error for a part of more than MaxPart bytes.
var errTooLarge = fmt.Errorf("it has more than %d MiB", MaxPart>>20)

// buffer keeps a part, until it is closed.
type buffer struct {
	mu     sync.Mutex // guards the fields below
	data   bytes.Buffer
	closed bool
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, io.ErrClosedPipe
	case b.data.Len()+len(p) > MaxPart:
		return 0, errTooLarge
	}
	return b.data.Write(p)
}

// close ends the writing and returns what was written.
func (b *buffer) close() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.data.Bytes()
}
