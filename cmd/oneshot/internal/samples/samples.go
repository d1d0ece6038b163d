//go:build unix

// Package samples makes a CPU profile out of an execution trace. While the runtime's CPU
// profiler runs for somebody else, it writes its samples into a trace too. The package does
// not know how a trace comes here.
package samples

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/pprof/profile"
	"golang.org/x/exp/trace"
)

// Bounds on what a trace may contain: the program can send anything.
const (
	MaxTrace     = 128 << 20 // bytes
	maxLocations = 1 << 20
	maxDepth     = 512 // frames of a stack; the runtime records 128
)

// period is the time between two samples, if the profiler has the runtime's default rate
// (100 Hz, runtime/pprof.StartCPUProfile). The trace does not have it.
const period = 10 * time.Millisecond

// Comment is in each profile.
const Comment = "the samples in an execution trace, because the CPU profiler was in use"

// Write writes the CPU samples of a trace to w, in the format of go tool pprof. It returns
// their number.
func Write(w io.Writer, from io.Reader) (n int, err error) {
	defer func() { // the reader is made for traces of the runtime, not for those of an attacker
		if v := recover(); v != nil {
			n, err = 0, fmt.Errorf("the program has sent a trace that cannot be read: %v", v)
		}
	}()
	reader, err := trace.NewReader(io.LimitReader(from, MaxTrace))
	if err != nil {
		return 0, fmt.Errorf("the program has sent a trace that cannot be read: %w", err)
	}
	b := newBuilder()
	for {
		event, err := reader.ReadEvent()
		switch {
		case errors.Is(err, io.EOF):
			return b.samples, b.write(w)
		case err != nil:
			return 0, fmt.Errorf("the program has sent a trace that cannot be read: %w", err)
		}
		b.see(event)
		if len(b.profile.Location) > maxLocations {
			return 0, errors.New("the program has sent a trace with too many functions")
		}
	}
}

// builder makes a profile of samples.
type builder struct {
	profile     *profile.Profile
	first, last trace.Time
	samples     int

	stacks    map[string]*profile.Sample // by their locations
	locations map[trace.StackFrame]*profile.Location
	functions map[[2]string]*profile.Function
}

func newBuilder() *builder {
	return &builder{
		profile: &profile.Profile{
			SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
			PeriodType: &profile.ValueType{Type: "cpu", Unit: "nanoseconds"},
			Period:     int64(period),
			Comments:   []string{Comment},
		},
		stacks:    make(map[string]*profile.Sample),
		locations: make(map[trace.StackFrame]*profile.Location),
		functions: make(map[[2]string]*profile.Function),
	}
}

// see counts an event if it is a sample.
func (b *builder) see(event trace.Event) {
	if b.first == 0 {
		b.first = event.Time()
	}
	b.last = max(b.last, event.Time())
	if event.Kind() != trace.EventStackSample {
		return
	}
	var stack []*profile.Location
	var key []byte
	for frame := range event.Stack().Frames() {
		if len(stack) == maxDepth {
			break
		}
		at := b.location(frame)
		stack = append(stack, at)
		key = fmt.Appendf(key, "%d ", at.ID)
	}
	if len(stack) == 0 { // a sample outside of Go code, without a stack
		return
	}
	sample := b.stacks[string(key)]
	if sample == nil {
		sample = &profile.Sample{Location: stack, Value: make([]int64, 2)}
		b.stacks[string(key)] = sample
		b.profile.Sample = append(b.profile.Sample, sample)
	}
	b.samples++
	sample.Value[0]++
	sample.Value[1] += int64(period)
}

func (b *builder) location(frame trace.StackFrame) *profile.Location {
	if at := b.locations[frame]; at != nil {
		return at
	}
	name := [2]string{frame.Func, frame.File}
	function := b.functions[name]
	if function == nil {
		function = &profile.Function{ID: uint64(len(b.profile.Function) + 1), Name: frame.Func, SystemName: frame.Func, Filename: frame.File}
		b.functions[name] = function
		b.profile.Function = append(b.profile.Function, function)
	}
	at := &profile.Location{
		ID: uint64(len(b.profile.Location) + 1), Address: frame.PC,
		Line: []profile.Line{{Function: function, Line: int64(frame.Line & (1<<63 - 1))}},
	}
	b.locations[frame] = at
	b.profile.Location = append(b.profile.Location, at)
	return at
}

func (b *builder) write(w io.Writer) error {
	b.profile.DurationNanos = int64(b.last.Sub(b.first))
	b.profile.TimeNanos = time.Now().Add(-time.Duration(b.profile.DurationNanos)).UnixNano()
	return b.profile.Write(w)
}
