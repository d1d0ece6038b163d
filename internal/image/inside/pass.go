//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"runtime"
	"runtime/debug"
	"strings"
	"time"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// pass is one reading of all goroutines.
type pass struct {
	layout *layout.Layout
	labels bool    // their place is known, so that a pointer to them is one
	self   uintptr // the runtime.g of the goroutine that reads
	now    int64
	sites  sites
	starts map[uintptr]kind   // of the functions that goroutines begin with
	slots  map[uintptr]*slots // caches slotsAt
	stops  stops
	after  record    // what is read after a stack
	second *reading  // of a new stack
	one    Goroutine // what is delivered; reused
}

// reading is what was read of one goroutine.
type reading struct {
	record
	kind   kind
	labels unsafe.Pointer
	stack  []uintptr
	whole  bool
}

func newPass(l *layout.Layout) *pass {
	p := &pass{layout: l, self: getg(), now: nanotime(), sites: newSites(l), starts: make(map[uintptr]kind), slots: make(map[uintptr]*slots)}
	p.after, p.second = p.newReading().record, p.newReading()
	return p
}

func (p *pass) newReading() *reading { return &reading{record: make(record, (p.layout.G.Size+7)/8)} }

// read reads the goroutines in the list.
func (p *pass) read(list []uintptr, to Groups) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var moving []uintptr
	r := p.newReading()
	for i, g := range list {
		p.prefetch(list, i)
		switch p.steady(r, g) {
		case steady:
			p.deliver(r, g, to)
		case moves:
			moving = append(moving, g)
		}
	}
	p.settle(moving, to)
}

// Most of the time of a reading would be waiting for memory, so it is asked for in
// advance: first the runtime.g, then the top of the stack.
const (
	ahead      = 8
	stackAhead = 512
)

func (p *pass) prefetch(list []uintptr, i int) {
	defer func() { isFault(recover()) }()
	if i+2*ahead < len(list) {
		prefetch(list[i+2*ahead], 8*len(p.after))
	}
	if i+ahead < len(list) {
		prefetch(load(list[i+ahead]+uintptr(p.layout.G.SchedSP)), stackAhead)
	}
}

// The results of reading a goroutine.
type result int

const (
	steady result = iota
	moves         // it runs, or did all the time
	none          // it has ended, or it is the runtime's
)

// tries is how often a goroutine that moves is read at once.
const tries = 5

// steady reads a goroutine. It may begin to run meanwhile. So its runtime.g is read
// again after the stack, and the stack counts only if nothing has changed.
func (p *pass) steady(r *reading, g uintptr) (found result) {
	defer func() {
		if isFault(recover()) {
			found = moves
		}
	}()
	for range tries {
		copyWords(&r.record[0], g, len(r.record))
		switch p.prepare(r); {
		case r.kind == absent || r.kind == system:
			return none
		case g == p.self:
			r.whole = true
			return steady
		case p.status(r.record) == p.layout.Status.Running:
			return moves
		}
		if p.labels && r.word(p.layout.G.Labels) != 0 {
			r.labels = loadPointer(g + uintptr(p.layout.G.Labels))
		}
		ok := p.unwind(r)
		copyWords(&p.after[0], g, len(p.after))
		if ok && p.same(r.record, p.after) {
			return steady
		}
	}
	return moves
}

// prepare sets what is known without the stack.
func (p *pass) prepare(r *reading) {
	r.stack, r.whole, r.labels = r.stack[:0], false, nil
	r.kind = absent
	if s := p.layout.Status; p.status(r.record) != s.Dead && p.status(r.record) != s.Idle && p.status(r.record) != s.DeadExtra {
		r.kind = p.kindOf(r.record)
	}
}

// isFault reports whether a recovered panic was an access to memory that is gone. It
// panics with any other one.
func isFault(v any) bool {
	if v == nil {
		return false
	}
	if err, ok := v.(runtime.Error); !ok || !strings.HasPrefix(err.Error(), "runtime error: invalid memory address") {
		panic(v)
	}
	return true
}

// same reports whether a goroutine has not moved between two readings of its struct.
func (p *pass) same(a, b record) bool {
	l := &p.layout.G
	for _, at := range [...]layout.Offset{l.StackLo, l.StackHi, l.SchedSP, l.SchedPC, l.SyscallSP, l.SyscallPC, l.GoID, l.GoPC, l.M, l.Labels} {
		if a.word(at) != b.word(at) {
			return false
		}
	}
	return p.state(a) == p.state(b)
}

// deliver adds a goroutine to its group. A stack that is new is read a second time: if
// the goroutine has run, and has come back to the same place during the reading, the
// stack may be a mixture.
func (p *pass) deliver(r *reading, g uintptr, to Groups) {
	key := p.key(r, g == p.self)
	group, known := to.Find(key)
	for n := 0; n < tries && !known && len(r.stack) > 0; n++ {
		if p.steady(p.second, g) != steady {
			break
		}
		confirmed := p.key(p.second, false)
		*r, *p.second = *p.second, *r
		if confirmed == key {
			break
		}
		key = confirmed
		group, known = to.Find(key)
	}
	l := &p.layout.G
	status := p.status(r.record)
	p.one = Goroutine{
		ID: r.id(p.layout), Parent: r.word(l.ParentGoID), State: p.state(r.record), Locked: r.word(l.LockedM) != 0,
		Leaked: status == p.layout.Status.Leaked, Turns: r.byte(l.TrackingSeq), Stop: p.stops.at(uintptr(r.word(l.SchedPC))), Self: g == p.self, Finalizers: r.kind == finalizers,
		Labels: r.labels, Stack: r.stack, Whole: r.whole,
	}
	if p.one.ID != 1 {
		p.one.Creator = uintptr(r.word(l.GoPC))
	}
	if status == p.layout.Status.Waiting || status == p.layout.Status.Syscall || p.one.Leaked {
		p.one.Minutes = minutes(uintptr(r.word(l.WaitSince)), p.now)
	}
	if !known {
		group = to.Create(key, &p.one)
	}
	to.Add(group, &p.one)
}

// The constants of the 64-bit FNV-1a hash.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// key returns the hash of all that the goroutines of a group have in common.
func (p *pass) key(r *reading, self bool) uint64 {
	h := uint64(fnvOffset)
	for _, pc := range r.stack {
		h = (h ^ uint64(pc)) * fnvPrime
	}
	h = (h ^ r.word(p.layout.G.GoPC)) * fnvPrime
	h = (h ^ uint64(p.state(r.record))) * fnvPrime
	rest := uint64(r.kind) << 1
	if self {
		rest++
	}
	return (h ^ rest) * fnvPrime
}

// The bounds of settle. The first attempt is nearly always enough. A stop takes longer
// where other processes compete for the CPUs.
const (
	attempts = 10
	stopTime = 200 * time.Millisecond // of all stops
)

// settle reads goroutines that were running. It stops the program for an instant.
// That takes the CPU from all of them, and the runtime saves where they are. Right
// after the stop they wait for a CPU, and can be read before they get one.
func (p *pass) settle(moving []uintptr, to Groups) {
	left := stopTime
	for range attempts {
		if len(moving) == 0 {
			return
		}
		caught := make([]*reading, len(moving))
		for i := range caught {
			caught[i] = p.newReading()
		}
		results := make([]result, len(moving))
		began := time.Now()
		stop()
		left -= time.Since(began)
		for i, g := range moving { // and no more now: deliver may take longer
			results[i] = p.steady(caught[i], g)
		}
		still := moving[:0]
		for i, g := range moving {
			switch results[i] {
			case steady:
				p.deliver(caught[i], g, to)
			case moves:
				still = append(still, g)
			}
		}
		if moving = still; left < 0 {
			break
		}
	}
	r := p.newReading()
	for _, g := range moving {
		if p.alone(r, g) {
			p.deliver(r, g, to)
		}
	}
}

// alone reads what is known of a goroutine without its stack.
func (p *pass) alone(r *reading, g uintptr) (ok bool) {
	defer func() {
		if isFault(recover()) {
			ok = false
		}
	}()
	copyWords(&r.record[0], g, len(r.record))
	p.prepare(r)
	return r.kind != absent && r.kind != system
}

// stop stops the program for an instant. The profile has more goroutines than there is
// room, so the runtime gives up at once.
func stop() { runtime.GoroutineProfile(make([]runtime.StackRecord, 1)) }

// StateText returns the state in the runtime's words (goroutineheader in
// runtime/traceback.go), without marks.
func StateText(s State) string {
	l, err := layout.Own()
	if err != nil {
		return "???"
	}
	if reason, ok := l.WaitReason(uint8(s)); ok && reason != "" {
		return strings.TrimSuffix(reason, " (durable)")
	}
	if text, ok := l.StatusText(uint32(s >> 8)); ok && text != "" {
		return text
	}
	return "???"
}
