//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

// wait is what one goroutine waits for.
type wait struct {
	g, id     uintptr
	queues    []queue
	signature uint64 // of the goroutine and all that it waits for
	kind      waitKind
	live      bool
}

// queue is an entry of a goroutine in a queue.
type queue struct {
	sudog uintptr
	addr  uintptr // of what it waits for
}

// waitKind is a kind of waits that others must end.
type waitKind uint8

const (
	notWaiting waitKind = iota
	forChannel
	forSend
	forLock
	forSignal // a Cond
	forEnd    // a WaitGroup
)

var waitKinds = map[string]waitKind{
	"chan receive":        forChannel,
	"select":              forChannel,
	"chan send":           forSend,
	"sync.Cond.Wait":      forSignal,
	"sync.Mutex.Lock":     forLock,
	"sync.RWMutex.RLock":  forLock,
	"sync.RWMutex.Lock":   forLock,
	"sync.WaitGroup.Wait": forEnd,
}

// sort notes what a goroutine waits for, or that it can run.
func (s *search) sort(g, caller uintptr) {
	copyWords(&s.after[0], g, len(s.after))
	s.seen(g)
	r := s.after
	switch st := s.layout.Status; s.status(r) {
	case st.Dead, st.Idle, st.DeadExtra:
		return
	}
	if g == s.self {
		return
	}
	if w, ok := s.waitOf(g); ok && g != caller && s.kindOf(r) == program {
		s.waits = append(s.waits, w)
		return
	}
	s.live = append(s.live, g)
}

// seen marks an object without looking into it.
func (s *search) seen(addr uintptr) {
	if base, i := s.heap.object(addr); i >= 0 {
		s.heap.spans[i].mark(base)
	}
}

const (
	maxWaits  = 1 << 16 // for which one goroutine waits
	sudogNext = 8       // the places of next and elem.vu in runtime.sudog
	sudogElem = 32
)

// waitOf returns what a goroutine waits for. It returns false if it does not wait, or
// waits for something that is not for other goroutines to do.
func (s *search) waitOf(g uintptr) (w wait, ok bool) {
	copyWords(&s.after[0], g, len(s.after))
	r, l := s.after, s.layout
	if status := s.status(r); status != l.Status.Waiting && status != l.Status.Leaked {
		return w, false
	}
	w = wait{g: g, id: uintptr(r.id(l)), kind: s.waitKind(s.state(r))}
	if w.kind == notWaiting {
		return w, false
	}
	field := uintptr(l.Sudog.C)
	semaphore := w.kind == forLock || w.kind == forSignal || w.kind == forEnd
	if semaphore {
		field = sudogElem
	}
	from := len(s.queues)
	h := uint64(fnvOffset)
	for _, word := range [...]uint64{uint64(g), uint64(w.id), r.word(l.G.SchedSP), r.word(l.G.SchedPC), uint64(s.state(r))} {
		h = (h ^ word) * fnvPrime
	}
	for sudog := uintptr(r.word(l.G.Waiting)); sudog != 0 && len(s.queues)-from < maxWaits; {
		if load(sudog+uintptr(l.Sudog.G)) != g {
			return w, false
		}
		s.seen(sudog) // it leads to what the goroutine waits for
		addr := load(sudog + field)
		s.queues = append(s.queues, queue{sudog, addr})
		h = ((h^uint64(sudog))*fnvPrime ^ uint64(addr)) * fnvPrime
		if semaphore {
			break // its other fields are the queue's
		}
		sudog = load(sudog + uintptr(l.Sudog.WaitLink))
	}
	w.signature, w.queues = h, s.queues[from:len(s.queues):len(s.queues)]
	return w, len(w.queues) > 0
}

// waitKind returns the kind of a wait. Few states are different, and their texts are not
// for free.
func (s *search) waitKind(state State) waitKind {
	k, known := s.kinds[state]
	if !known {
		k = waitKinds[StateText(state)]
		s.kinds[state] = k
	}
	return k
}

// aim has the search look out for what a goroutine waits for. What is not in the heap is
// a variable, which all code can use.
func (s *search) aim(i int) {
	w := &s.waits[i]
	s.stranded++
	if w.id == 1 && w.kind != forSend && w.kind != forLock { // main may be made to wait for ever
		s.revive(i)
		return
	}
	for _, q := range w.queues {
		base, k := s.heap.object(q.addr)
		if k < 0 {
			s.revive(i)
			return
		}
		s.heap.spans[k].aimed = true
		s.targets[base] = append(s.targets[base], i)
	}
}

// revive notes that a goroutine can run.
func (s *search) revive(i int) {
	if w := &s.waits[i]; !w.live {
		w.live = true
		s.stranded--
		s.live = append(s.live, w.g)
	}
}
