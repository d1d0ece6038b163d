package layout

// G is runtime.g, a goroutine.
type G struct {
	Size    Offset
	StackLo Offset `field:"stack.lo"`
	StackHi Offset `field:"stack.hi"`
	Panic   Offset `field:"_panic"` // *_panic, the innermost one
	M       Offset `field:"m"`      // *m, the thread that runs it

	SchedSP   Offset `field:"sched.sp"`
	SchedPC   Offset `field:"sched.pc"`
	SchedCtxt Offset `field:"sched.ctxt"`
	SchedLR   Offset `field:"sched.lr"`
	SchedBP   Offset `field:"sched.bp"`

	SyscallSP Offset `field:"syscallsp"` // valid in a system call; 0 otherwise
	SyscallPC Offset `field:"syscallpc"`
	SyscallBP Offset `field:"syscallbp"` // from 1.23
	StkTopSP  Offset `field:"stktopsp"`

	AtomicStatus Offset `field:"atomicstatus"` // uint32, see Status
	GoID         Offset `field:"goid"`         // uint64
	SchedLink    Offset `field:"schedlink"`    // the next g in a queue
	WaitSince    Offset `field:"waitsince"`    // int64, nanotime; 0 until a garbage collection sees it waiting
	WaitReason   Offset `field:"waitreason"`   // uint8, see WaitReasons

	AsyncSafePoint  Offset `field:"asyncSafePoint"`  // bool, stopped at an asynchronous preemption
	RunningCleanups Offset `field:"runningCleanups"` // bool, from 1.25
	TrackingSeq     Offset `field:"trackingSeq"`     // uint8, counts how often it has stopped running (casgstatus)
	LockedM         Offset `field:"lockedm"`         // *m, not 0: locked to its thread

	Sig      Offset `field:"sig"`      // uint32, the signal that it panics with
	SigCode0 Offset `field:"sigcode0"` // the siginfo's si_code
	SigCode1 Offset `field:"sigcode1"` // the address of the fault
	SigPC    Offset `field:"sigpc"`

	ParentGoID Offset `field:"parentGoid"` // uint64
	GoPC       Offset `field:"gopc"`       // the go statement that started it
	StartPC    Offset `field:"startpc"`    // its function
	Waiting    Offset `field:"waiting"`    // *sudog, what it waits for
	Labels     Offset `field:"labels"`     // see Traits.LabelList

	CoroArg   Offset `field:"coroarg"`   // *coro, from 1.22
	Bubble    Offset `field:"bubble"`    // *synctestBubble, from 1.25
	SyncGroup Offset `field:"syncGroup"` // *synctestGroup, 1.24 only
}

// M is runtime.m, a thread.
type M struct {
	Size      Offset
	G0        Offset `field:"g0"`        // *g, the goroutine with the thread's own stack
	ProcID    Offset `field:"procid"`    // uint64, the kernel's thread id
	GSignal   Offset `field:"gsignal"`   // *g, the goroutine with the stack for signals
	CurG      Offset `field:"curg"`      // *g, what it runs
	CaughtSig Offset `field:"caughtsig"` // *g, what ran when a fatal signal came
	P         Offset `field:"p"`
	ID        Offset `field:"id"`       // int64
	Throwing  Offset `field:"throwing"` // int32, not 0: the runtime throws
	Dying     Offset `field:"dying"`    // int32, not 0: the thread prints a panic
	InCgo     Offset `field:"incgo"`    // bool
	NCgo      Offset `field:"ncgo"`     // int32, cgo calls in progress
	AllLink   Offset `field:"alllink"`  // *m, the next in runtime.allm
	LockedG   Offset `field:"lockedg"`  // *g
	VDSOSP    Offset `field:"vdsoSP"`   // not 0: in the vDSO
	VDSOPC    Offset `field:"vdsoPC"`
}

// Panic is runtime._panic, a panic in progress.
type Panic struct {
	Size      Offset
	Arg       Offset `field:"arg"`  // any, the value
	Link      Offset `field:"link"` // *_panic, the earlier one
	Recovered Offset `field:"recovered"`
	GoExit    Offset `field:"goexit"`
}

// Sudog is runtime.sudog, one thing that a goroutine waits for.
type Sudog struct {
	Size     Offset
	G        Offset `field:"g"`
	WaitLink Offset `field:"waitlink"` // *sudog, the next one of the same goroutine
	IsSelect Offset `field:"isSelect"`
	C        Offset `field:"c.maybeTraceablePtr.vu|c"` // *hchan
}

// Hchan is runtime.hchan, a channel.
type Hchan struct {
	Size     Offset
	QCount   Offset `field:"qcount"`
	DataQSiz Offset `field:"dataqsiz"`
	ElemSize Offset `field:"elemsize"` // uint16
	Closed   Offset `field:"closed"`   // uint32
	RecvQ    Offset `field:"recvq"`    // waitq: first, last *sudog
	SendQ    Offset `field:"sendq"`
}

// Bubble is runtime.synctestBubble, from 1.25.
type Bubble struct {
	Size Offset
	ID   Offset `field:"id"` // int
}

// SyncGroup is runtime.synctestGroup of 1.24.
type SyncGroup struct {
	Size Offset
	Root Offset `field:"root"` // *g
}

// Status has the numbers of g.atomicstatus.
type Status struct {
	Idle      Offset `const:"runtime._Gidle"`
	Runnable  Offset `const:"runtime._Grunnable"`
	Running   Offset `const:"runtime._Grunning"`
	Syscall   Offset `const:"runtime._Gsyscall"`
	Waiting   Offset `const:"runtime._Gwaiting"`
	Dead      Offset `const:"runtime._Gdead"`
	CopyStack Offset `const:"runtime._Gcopystack"`
	Preempted Offset `const:"runtime._Gpreempted"`
	Leaked    Offset `const:"runtime._Gleaked"`    // from 1.26: proved to be leaked
	DeadExtra Offset `const:"runtime._Gdeadextra"` // from 1.26: of a thread that C owns, not in use
	Scan      Offset `const:"runtime._Gscan"`      // a bit beside the others
}

// Traits are the rules of the runtime's traceback that differ between releases.
type Traits struct {
	// LabelList: g.labels points to a slice of pairs of strings, key and value
	// (from 1.24). Otherwise it points to a map[string]string, see LabelMap.
	LabelList bool
	// DurableMark: a goroutine in a bubble whose reason is idle gets " (durable)"
	// after its state (from 1.25). DurableWaiting: only if its status is waiting
	// (from 1.26).
	DurableMark, DurableWaiting bool
	// ShowFinalizers: the frames of runtime.runFinalizers and runtime.runCleanups
	// are shown (from 1.25).
	ShowFinalizers bool
	// HeaderTextStart: pcHeader.textStart is filled in (until 1.25). It is not
	// needed: moduledata.text is the same.
	HeaderTextStart bool
}

// LabelMap is runtime.hmap, for the label sets of releases until 1.23.
type LabelMap struct {
	Size       Offset
	Count      Offset `field:"count"` // int
	B          Offset `field:"B"`     // uint8, log2 of the number of buckets
	Buckets    Offset `field:"buckets"`
	OldBuckets Offset `field:"oldbuckets"`
}

// The bucket of a map[string]string until 1.23: 8 bytes of tophash, 8 keys, 8
// values, and a pointer to an overflow bucket (cmd/compile/internal/reflectdata,
// MapBucketType).
const (
	BucketSlots    = 8
	BucketKeys     = 8
	BucketValues   = BucketKeys + BucketSlots*16
	BucketOverflow = BucketValues + BucketSlots*16
	BucketSize     = BucketOverflow + 8
	// MinTopHash is the smallest tophash of a slot that is in use
	// (runtime.minTopHash).
	MinTopHash = 5
)
