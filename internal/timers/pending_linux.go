package timers

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/ours"
)

// Pending returns how many timers of the program will fire and wake a goroutine or call
// a function: those of sleeping goroutines, of deadlines, of time.AfterFunc, and of
// channels that a goroutine waits for. The runtime keeps them in a heap for each P (the
// field timers in runtime.p, time.go; since Go 1.23 a timer with a channel is in a heap
// only while a goroutine waits for the channel).
//
// Nothing says where that field is. So Pending starts a timer, and looks for it: in the
// memory of the package's variables for a list of Ps (runtime.allp), and in those Ps for
// a list of timers that has this one.
func Pending() (int, error) {
	if unsafe.Sizeof(uintptr(0)) != 8 || binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return 0, ErrUnknown
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	defer memory.Close()
	start, end, err := findVariables()
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	mark := startMark()
	defer mark.end()
	const tries = 50 // until the goroutine of the mark waits
	for range tries {
		if n, ok := count(memory, start, end, mark); ok {
			return n, nil
		}
		time.Sleep(time.Millisecond)
	}
	return 0, ErrUnknown
}

// mark is a timer for which a goroutine waits.
type mark struct {
	timer *time.Timer
	when  int64 // on the runtime's clock, nearly
	stop  chan struct{}
	ended chan struct{}
}

func startMark() *mark {
	const far = 24 * time.Hour // so that it is told from other timers
	m := &mark{timer: time.NewTimer(far), stop: make(chan struct{}), ended: make(chan struct{})}
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // the runtime's clock; never fails
	m.when = now.Nano() + int64(far)
	ours.Go(func() {
		defer close(m.ended)
		select {
		case <-m.timer.C:
		case <-m.stop:
		}
	})
	return m
}

func (m *mark) end() {
	close(m.stop)
	<-m.ended
	m.timer.Stop()
}

// is reports whether an entry of a heap is the mark.
func (m *mark) is(timer, when uint64) bool {
	const near = int64(time.Minute)
	diff := int64(when) - m.when
	return within(timer, m.timer) && diff > -near && diff < near
}

// within reports whether the runtime's timer at addr belongs to t: time.NewTimer returns
// a pointer to a struct of which the timer is the last field (runtime.timeTimer).
func within(addr uint64, t *time.Timer) bool {
	const size = 64
	at := uint64(uintptr(unsafe.Pointer(t)))
	return addr > at && addr < at+size
}

const (
	word       = 8
	pieceSize  = 256 << 10 // of the program's variables
	maxData    = 64 << 20  // of them
	maxPs      = 1 << 16
	maxP       = 32 << 10 // of a P that is searched; it has 10 KiB in Go 1.26
	maxTimers  = 1 << 20
	maxLists   = 4096 // that may be the list of Ps
	entrySize  = 2 * word
	headerSize = 3*word + 4 + 4 // a slice, and the numbers of entries and of stopped ones
)

// count counts the timers. It returns false if the mark is not found.
func count(memory io.ReaderAt, start, end uint64, m *mark) (int, bool) {
	const overlap = 2 * word // a list may begin at the end of a piece
	procs, lists := uint64(runtime.GOMAXPROCS(0)), 0
	piece := make([]byte, pieceSize+overlap)
	for ; start < end; start += pieceSize {
		n, _ := memory.ReadAt(piece[:min(pieceSize+overlap, end-start)], int64(start))
		for at := 0; at+3*word <= n; at += word {
			length, capacity := get(piece[at+word:]), get(piece[at+2*word:])
			if length != procs || capacity < length || capacity > maxPs {
				continue
			}
			ps, ok := readPs(memory, get(piece[at:]), procs)
			if !ok {
				continue
			}
			if field := findMark(memory, ps, m); field > 0 {
				return countAt(memory, ps, field)
			}
			if lists++; lists == maxLists {
				return 0, false
			}
		}
	}
	return 0, false
}

// readPs reads the Ps of a list. It returns false if they are not Ps: a P begins with its
// number, which is its index, and its status.
func readPs(memory io.ReaderAt, list, n uint64) ([][]byte, bool) {
	const statuses = 5
	pointers := make([]byte, n*word)
	if list%word != 0 || !read(memory, list, pointers) {
		return nil, false
	}
	for i := range n {
		var head [word]byte
		addr := get(pointers[i*word:])
		if addr%word != 0 || !read(memory, addr, head[:]) ||
			uint64(binary.LittleEndian.Uint32(head[:])) != i || binary.LittleEndian.Uint32(head[4:]) >= statuses {
			return nil, false
		}
	}
	var ps [][]byte
	for i := range n {
		p := make([]byte, maxP)
		got, _ := memory.ReadAt(p, int64(get(pointers[i*word:])))
		ps = append(ps, p[:max(got, 0)])
	}
	return ps, true
}

// findMark returns where in a P the heap is that has the mark, or 0. What is read of a P
// may contain the next one, where the heap is again, so the first place is the right one.
func findMark(memory io.ReaderAt, ps [][]byte, m *mark) (found int) {
	for _, p := range ps {
		for at := word; at+headerSize <= len(p) && (found == 0 || at < found); at += word {
			entries, ok := heapAt(memory, p, at)
			for ; ok && len(entries) > 0; entries = entries[entrySize:] {
				if m.is(get(entries), get(entries[word:])) {
					found = at
				}
			}
		}
	}
	return found
}

// heapAt returns the entries of a heap of timers, each a pointer and a time. It returns
// false if there is no heap: behind its slice is the number of entries once more.
func heapAt(memory io.ReaderAt, p []byte, at int) ([]byte, bool) {
	n := get(p[at+word:])
	if n == 0 || n > maxTimers || get(p[at+2*word:]) < n || uint64(binary.LittleEndian.Uint32(p[at+3*word:])) != n {
		return nil, false
	}
	entries := make([]byte, n*entrySize)
	return entries, read(memory, get(p[at:]), entries)
}

// countAt adds up the timers of all Ps, whose heaps are at the same place in each. It
// leaves out the timers that are stopped, the mark and the manhole's own.
func countAt(memory io.ReaderAt, ps [][]byte, at int) (n int, ok bool) {
	n = -1 // the mark
	own.Lock()
	defer own.Unlock()
	for _, p := range ps {
		if at+headerSize > len(p) {
			return 0, false
		}
		if get(p[at+word:]) == 0 {
			continue
		}
		entries, ok := heapAt(memory, p, at)
		stopped := int(int32(binary.LittleEndian.Uint32(p[at+3*word+4:])))
		if !ok || stopped < 0 || stopped > len(entries)/entrySize {
			return 0, false
		}
		n += len(entries)/entrySize - stopped
		for ; len(entries) > 0; entries = entries[entrySize:] {
			for t := range own.timers {
				if within(get(entries), t) {
					n--
				}
			}
		}
	}
	return n, n >= 0
}

func get(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func read(memory io.ReaderAt, addr uint64, b []byte) bool {
	if addr == 0 || addr > 1<<62 {
		return false
	}
	_, err := memory.ReadAt(b, int64(addr))
	return err == nil
}

// inVariables is one of the variables of the program.
var inVariables byte

// findVariables returns the memory of the program's variables: the mappings around one of
// them that are writable and without a gap.
func findVariables() (start, end uint64, err error) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, 0, err
	}
	defer maps.Close()
	here := uint64(uintptr(unsafe.Pointer(&inVariables)))
	lines := bufio.NewScanner(io.LimitReader(maps, 4<<20))
	for lines.Scan() {
		var from, to uint64
		var mode string
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); n != 3 || len(mode) < 2 || mode[1] != 'w' {
			continue
		}
		if from != end {
			if here >= start && here < end {
				break
			}
			start = from
		}
		end = to
	}
	if here < start || here >= end || end-start > maxData {
		return 0, 0, fmt.Errorf("the program's variables are not in %s", maps.Name())
	}
	return start, end, nil
}
