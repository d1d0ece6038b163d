package oneshot

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/gomanhole/oneshot/internal/procfs"
)

// memory are the numbers that mem shows, from runtime/metrics: unlike
// runtime.ReadMemStats they are read without stopping the program.
type memory struct {
	liveHeap, heapGoal, limit uint64 // bytes; limit is math.MaxInt64 if there is none
	heapObjects, stacks       uint64 // bytes
	fromSystem, released      uint64 // bytes
	cycles, percent           uint64
}

func readMemory() memory {
	var m memory
	fields := []struct {
		name string
		to   *uint64
	}{
		{"/gc/heap/live:bytes", &m.liveHeap},
		{"/gc/heap/goal:bytes", &m.heapGoal},
		{"/gc/gomemlimit:bytes", &m.limit},
		{"/memory/classes/heap/objects:bytes", &m.heapObjects},
		{"/memory/classes/heap/stacks:bytes", &m.stacks},
		{"/memory/classes/total:bytes", &m.fromSystem},
		{"/memory/classes/heap/released:bytes", &m.released},
		{"/gc/cycles/total:gc-cycles", &m.cycles},
		{"/gc/gogc:percent", &m.percent},
	}
	samples := make([]metrics.Sample, len(fields))
	for i, f := range fields {
		samples[i].Name = f.name
	}
	metrics.Read(samples)
	for i, f := range fields {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			*f.to = samples[i].Value.Uint64()
		}
	}
	return m
}

func runMem(_ context.Context, s *session) error {
	m := readMemory()
	fmt.Fprintf(s.out, "heap in use  %s, of which %s survived the last collection\n", bytesText(m.heapObjects), bytesText(m.liveHeap))
	fmt.Fprintf(s.out, "stacks       %s\n", bytesText(m.stacks))
	fmt.Fprintf(s.out, "from system  %s, not counting %s given back\n", bytesText(m.fromSystem-m.released), bytesText(m.released))
	if resident, err := procfs.ResidentBytes("/proc/self"); err == nil {
		fmt.Fprintf(s.out, "resident     %s\n", bytesText(resident))
	}
	fmt.Fprintf(s.out, "collector    %d cycles, the next at a heap of %s\n", m.cycles, bytesText(m.heapGoal))
	gogc, limit := fmt.Sprint(m.percent), "none"
	if m.percent > math.MaxInt32 { // what the runtime shows for GOGC=off
		gogc = "off"
	}
	if m.limit < math.MaxInt64 {
		limit = bytesText(m.limit)
	}
	fmt.Fprintf(s.out, "settings     GOGC %s, memory limit %s\n", gogc, limit)
	return nil
}

func runGC(_ context.Context, s *session) error {
	before, began := readMemory(), time.Now()
	runtime.GC()
	after := readMemory()
	fmt.Fprintf(s.out, "collected in %v; heap in use was %s, is %s\n",
		time.Since(began).Round(10*time.Microsecond), bytesText(before.heapObjects), bytesText(after.heapObjects))
	return nil
}

// bytesText is a number of bytes in binary units, with three digits.
func bytesText(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= 1023.5 && unit < 6 {
		value /= 1 << 10
		unit++
	}
	digits := max(0, 2-int(math.Log10(value)))
	return fmt.Sprintf("%.*f %ciB", digits, value, " KMGTPE"[unit])
}
