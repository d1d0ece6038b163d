//go:build linux

package integration

import (
	"bufio"
	"compress/gzip"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"text/template"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// ordinary are the kinds of goroutine that a service has while nothing is
// wrong with it. Each function starts all goroutines of one kind, or of a few
// that belong together.
var ordinary = []func(){
	startMailers, startThumbnails, startCondPool, startBackups, startMetricsReporter, startSessionTimers,
	startFlagPollers, startTCPServer, startUnixServer, startHTTPServer, startLineReaders, startAuditPipe,
	startReloader, startShutdown, startContextWaiters, startSubsystems, startBroker, startLogFlusher,
	startJanitors, startRateLimiter, startSingleFlight, startElection, startBatchers, startReconnects,
	startStatsd, startChildren, startForever, startGenerator, startLockedJanitors, startLabelled,
	startLazyClients, startHeartbeat, startStreamDecoders, startRPC, startWorkflows, startMiddleware,
	startDiskScan, startReports, startCopiers, startInflater, startCoroutine, startVersionWatchers,
	startFirstError, startFanIn, startWatchdogs, startReflectSelect, startThreadBound, startActors,
	startMachines, startCron, startDatabases, startHTTP2, startLameDuck, startTick, startLeases, startShards,
	startAckWaiters, startWAL, startTailers, startDeviceReader, startWeighted, startInformers, startWorkQueue,
	startUntil, startStreams, startSpans, startConsumers, startConfigWatcher, startDebouncers, startSyslog,
	startBreakers, startBulkhead, startFuture, startHedged,
}

// startOrdinary starts some hundreds of goroutines, all of which wait and are
// as they should be. Together they wake a few times a second.
func startOrdinary() {
	for _, start := range ordinary {
		start()
	}
	rest() // until the last of them waits
}

// rest returns when all goroutines but the one that calls it have waited for a
// while, or are in system calls.
func rest() {
	const looks = 50 // one after another, a millisecond between
	quiet := 0
	testwait.Until(func() bool {
		states := []metrics.Sample{
			{Name: "/sched/goroutines/runnable:goroutines"},
			{Name: "/sched/goroutines/running:goroutines"},
		}
		metrics.Read(states)
		if quiet++; states[0].Value.Uint64() > 0 || states[1].Value.Uint64() > 1 {
			quiet = 0
		}
		return quiet == looks
	}, "a moment in which no other goroutine runs")
}

// serving is what the goroutines of a service watch for its end.
var serving, stopServing = context.WithCancel(context.Background())

// held keeps what goroutines wait for reachable, as the rest of a service does:
// none of them is leaked.
var (
	heldMu sync.Mutex // guards held
	held   []any
)

func hold[T any](v T) T {
	heldMu.Lock()
	defer heldMu.Unlock()
	held = append(held, v)
	return v
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Pools and queues.

func startMailers() {
	letters := hold(make(chan string))
	for range 8 {
		go sendLetters(letters)
	}
}

func sendLetters(letters <-chan string) {
	for l := range letters {
		_ = len(l)
	}
}

type thumbnailer struct{ images chan []byte }

func startThumbnails() {
	t := hold(&thumbnailer{images: make(chan []byte, 16)})
	for range 12 {
		go t.work(serving)
	}
}

func (t *thumbnailer) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case image := <-t.images:
			_ = len(image)
		}
	}
}

type condPool struct {
	mu    sync.Mutex
	more  *sync.Cond
	tasks []func()
}

func startCondPool() {
	p := hold(&condPool{})
	p.more = sync.NewCond(&p.mu)
	for range 4 {
		go p.idle()
	}
}

func (p *condPool) idle() {
	for {
		p.mu.Lock()
		for len(p.tasks) == 0 {
			p.more.Wait()
		}
		task := p.tasks[0]
		p.tasks = p.tasks[1:]
		p.mu.Unlock()
		task()
	}
}

// startBackups: two backups may run at a time, the others wait for their turn.
func startBackups() {
	slots := hold(make(chan struct{}, 2))
	for range 5 {
		go func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			copySlowly(serving)
		}()
	}
}

func copySlowly(ctx context.Context) {
	for ctx.Err() == nil {
		time.Sleep(5 * time.Second) // it yields to the service
	}
}

type taskQueue struct {
	cond  *sync.Cond
	items []string
}

func startWorkQueue() {
	q := hold(&taskQueue{cond: sync.NewCond(new(sync.Mutex))})
	for range 5 {
		go func() {
			for q.processNext() {
			}
		}()
	}
	delayed := hold(make(chan string))
	go q.waitingLoop(delayed)
}

func (q *taskQueue) get() string {
	q.cond.L.Lock()
	defer q.cond.L.Unlock()
	for len(q.items) == 0 {
		q.cond.Wait()
	}
	item := q.items[0]
	q.items = q.items[1:]
	return item
}

func (q *taskQueue) processNext() bool { return q.get() != "" }

func (q *taskQueue) waitingLoop(delayed <-chan string) {
	never := time.NewTimer(time.Hour)
	for {
		select {
		case <-serving.Done():
			return
		case <-never.C:
		case item := <-delayed:
			q.cond.L.Lock()
			q.items = append(q.items, item)
			q.cond.L.Unlock()
			q.cond.Signal()
		}
	}
}

func startBulkhead() {
	var group sync.WaitGroup
	calls := hold(make(chan func()))
	for range 6 {
		group.Go(func() {
			for call := range calls {
				call()
			}
		})
	}
}

func startActors() {
	for range 10 {
		a := hold(&actor{mailbox: make(chan func(), 4)})
		go a.loop()
	}
}

type actor struct{ mailbox chan func() }

func (a *actor) loop() {
	for f := range a.mailbox {
		f()
	}
}

func startShards() {
	for range 16 {
		ops := hold(make(chan func(map[string]int)))
		go func() {
			shard := map[string]int{}
			for {
				op, ok := <-ops
				if !ok {
					return
				}
				op(shard)
			}
		}()
	}
}

// weighted is a semaphore that hands its slots out in the order of the requests.
type weighted struct {
	mu      sync.Mutex
	waiters []chan struct{}
}

// startWeighted: two imports of low priority wait for the night.
func startWeighted() {
	w := hold(&weighted{})
	for range 2 {
		go func() { _ = w.acquire(serving) }()
	}
}

func (w *weighted) acquire(ctx context.Context) error {
	ready := make(chan struct{})
	w.mu.Lock()
	w.waiters = append(w.waiters, ready)
	w.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func startLabelled() {
	for i := range 6 {
		jobs := hold(make(chan int, 1))
		labels := pprof.Labels("queue", "billing", "worker", fmt.Sprint(i))
		go pprof.Do(serving, labels, func(ctx context.Context) { billingWorker(ctx, jobs) })
	}
}

func billingWorker(ctx context.Context, jobs <-chan int) {
	for {
		select {
		case <-jobs:
		case <-ctx.Done():
			return
		}
	}
}

func startThreadBound() {
	calls := hold(make(chan func()))
	go func() {
		runtime.LockOSThread() // a namespace, or a C library, wants one thread
		for call := range calls {
			call()
		}
	}()
}

func startConsumers() {
	assigned := hold(make(chan []int))
	go func() { // the group's coordinator
		heartbeat := time.NewTicker(3 * time.Second)
		for {
			select {
			case <-heartbeat.C:
			case partitions := <-assigned:
				_ = len(partitions)
			}
		}
	}()
	messages := hold(make(chan []byte, 64))
	for p := range 12 {
		credit := hold(make(chan struct{}))
		go fetchPartition(p, credit, messages)
	}
	go consumeMessages(messages)
}

func fetchPartition(p int, credit <-chan struct{}, messages chan<- []byte) {
	for range credit {
		messages <- []byte{byte(p)}
	}
}

func consumeMessages(messages <-chan []byte) {
	for m := range messages {
		_ = m
	}
}

// Clocks.

func startMetricsReporter() {
	go func() {
		ticker := time.NewTicker(10 * time.Second)
		defer ticker.Stop()
		var m runtime.MemStats
		for range ticker.C {
			runtime.ReadMemStats(&m)
		}
	}()
}

func startSessionTimers() {
	for range 5 {
		touched := hold(make(chan struct{}))
		go expireSession(touched)
	}
}

func expireSession(touched <-chan struct{}) {
	timer := time.NewTimer(30 * time.Minute)
	for {
		select {
		case <-timer.C:
			return
		case <-touched:
			timer.Reset(30 * time.Minute)
		}
	}
}

func startFlagPollers() {
	for range 3 {
		go func() {
			for {
				pollFlags()
				time.Sleep(15*time.Second + rand.N(time.Second))
			}
		}()
	}
}

func pollFlags() { _ = os.Getenv("FLAGS") }

type logBuffer struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func startLogFlusher() {
	l := hold(&logBuffer{w: bufio.NewWriter(io.Discard)})
	go l.flushDaemon(5 * time.Second)
}

func (l *logBuffer) flushDaemon(every time.Duration) {
	for range time.NewTicker(every).C {
		l.mu.Lock()
		_ = l.w.Flush()
		l.mu.Unlock()
	}
}

type ttlCache struct {
	mu    sync.Mutex
	until map[string]time.Time
	stop  chan struct{}
}

func startJanitors() {
	for range 4 {
		c := hold(&ttlCache{until: map[string]time.Time{}, stop: make(chan struct{})})
		go c.janitor(time.Minute)
	}
}

func (c *ttlCache) janitor(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			c.expire(now)
		case <-c.stop:
			return
		}
	}
}

func (c *ttlCache) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, until := range c.until {
		if now.After(until) {
			delete(c.until, k)
		}
	}
}

func startLockedJanitors() {
	for range 2 {
		c := hold(&ttlCache{until: map[string]time.Time{}})
		go func() {
			for {
				time.Sleep(20 * time.Second)
				c.expire(time.Now())
			}
		}()
	}
}

func startRateLimiter() {
	tokens := hold(make(chan struct{}, 10))
	go func() {
		for range time.NewTicker(time.Second).C {
			select {
			case tokens <- struct{}{}:
			default:
			}
		}
	}()
}

func startElection() {
	go func() {
		for leading := campaign(serving); leading; leading = renewLease(serving) {
		}
	}()
}

func campaign(ctx context.Context) bool { return ctx.Err() == nil }

func renewLease(ctx context.Context) bool {
	select {
	case <-time.After(2 * time.Second):
		return true
	case <-ctx.Done():
		return false
	}
}

func startBatchers() {
	for range 3 {
		b := hold(&rowBatcher{rows: make(chan int, 8)})
		go b.run()
	}
}

type rowBatcher struct {
	rows  chan int
	batch []int
}

func (b *rowBatcher) run() {
	flush := time.NewTimer(5 * time.Second)
	for {
		select {
		case row := <-b.rows:
			b.batch = append(b.batch, row)
		case <-flush.C:
			b.batch = b.batch[:0]
			flush.Reset(5 * time.Second)
		}
	}
}

var errUnreachable = errors.New("unreachable")

// startReconnects: the standby of a replica set is down, which is nobody's concern.
func startReconnects() {
	for range 2 {
		go func() { _ = retry(serving, func() error { return errUnreachable }) }()
	}
}

func retry(ctx context.Context, f func() error) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		if err := f(); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

type heartbeat struct{ beats atomic.Int64 }

// startHeartbeat's timer arms itself anew; no goroutine stands between two beats.
func startHeartbeat() {
	h := hold(&heartbeat{})
	h.beat()
	lost := hold(make(chan struct{}))
	go func() { <-lost }()
}

func (h *heartbeat) beat() {
	h.beats.Add(1)
	time.AfterFunc(3*time.Second, h.beat)
}

func startWatchdogs() {
	for range 2 {
		pings := hold(make(chan struct{}))
		go func() {
			for {
				select {
				case <-pings:
				case <-time.After(10 * time.Minute):
					return
				}
			}
		}()
	}
}

func startCron() {
	go func() {
		for {
			timer := time.NewTimer(time.Until(time.Now().Truncate(24 * time.Hour).Add(24 * time.Hour)))
			<-timer.C
		}
	}()
}

func startTick() {
	go func() {
		for range time.Tick(7 * time.Second) {
			_ = runtime.NumGoroutine()
		}
	}()
}

func startUntil() {
	for range 4 {
		go until(serving, func() { runOnce(func() {}) }, 8*time.Second)
	}
}

func runOnce(f func()) {
	defer func() { _ = recover() }()
	f()
}

func until(ctx context.Context, f func(), period time.Duration) {
	backoffUntil(ctx, f, func() <-chan time.Time { return time.After(period) })
}

func backoffUntil(ctx context.Context, f func(), next func() <-chan time.Time) {
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-next():
		}
	}
}

func startSpans() {
	spans := hold(make(chan string, 128))
	go exportSpans(spans)
}

func exportSpans(spans <-chan string) {
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	var batch []string
	for {
		select {
		case <-serving.Done():
			return
		case <-timer.C:
			batch = batch[:0]
			timer.Reset(5 * time.Second)
		case s := <-spans:
			batch = append(batch, s)
		}
	}
}

func startConfigWatcher() {
	go func() {
		var last time.Time
		for ; ; time.Sleep(4 * time.Second) {
			if info, err := os.Stat("/etc/passwd"); err == nil {
				last = info.ModTime()
			}
			_ = last
		}
	}()
}

func startDebouncers() {
	for range 2 {
		in, out := hold(make(chan int)), hold(make(chan int, 1))
		go func() {
			var fire <-chan time.Time // nil until something came
			var v int
			for {
				select {
				case v = <-in:
					fire = time.After(time.Second)
				case <-fire:
					out <- v
				}
			}
		}()
	}
}

func startBreakers() {
	for range 2 {
		trips := hold(make(chan time.Duration))
		go func() {
			for pause := range trips {
				<-time.After(pause)
			}
		}()
	}
}

// Waiting for an end, an event or one another.

func startReloader() {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP, syscall.SIGWINCH)
	go func() {
		for range hup {
			pollFlags()
		}
	}()
}

func startShutdown() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	go func() {
		<-ctx.Done()
		stop()
		os.Exit(130)
	}()
}

func startContextWaiters() {
	for range 5 {
		ctx, cancel := context.WithCancel(serving)
		hold(cancel)
		go closeWhenDone(ctx, io.NopCloser(nil))
	}
}

func closeWhenDone(ctx context.Context, c io.Closer) {
	<-ctx.Done()
	_ = c.Close()
}

func startLeases() {
	for range 3 {
		ctx, cancel := context.WithTimeout(serving, time.Hour)
		hold(cancel)
		lost := hold(make(chan error))
		go func() {
			select {
			case <-lost:
			case <-ctx.Done():
			}
		}()
	}
}

// startSubsystems is the top of many a main: everything runs until all ended.
func startSubsystems() {
	var group sync.WaitGroup
	for _, run := range []func(context.Context){runAPI, runAdmin, runScheduler} {
		group.Add(1)
		go func() {
			defer group.Done()
			run(serving)
		}()
	}
	go func() { group.Wait() }()
}

func runAPI(ctx context.Context)       { <-ctx.Done() }
func runAdmin(ctx context.Context)     { closeWhenDone(ctx, io.NopCloser(nil)) }
func runScheduler(ctx context.Context) { copySlowly(ctx) }

func startForever() {
	go func() { select {} }()
}

func startFirstError() {
	errs, done := hold(make(chan error, 3)), hold(make(chan struct{}))
	go func() {
		select {
		case err := <-errs:
			panic(err)
		case <-done:
		}
	}()
}

func startLameDuck() {
	quit := hold(make(chan struct{}))
	for range 5 {
		go drainOn(quit)
	}
}

func drainOn(quit <-chan struct{}) {
	<-quit
	stopServing()
}

type broker struct {
	publish     chan string
	subscribers []chan string
}

func startBroker() {
	b := hold(&broker{publish: make(chan string)})
	for range 15 {
		c := make(chan string, 4)
		b.subscribers = append(b.subscribers, c)
		go func() {
			for event := range c {
				_ = event
			}
		}()
	}
	go b.loop()
}

func (b *broker) loop() {
	for event := range b.publish {
		for _, c := range b.subscribers {
			c <- event
		}
	}
}

type flight struct {
	group sync.WaitGroup
	value string
}

// startSingleFlight: one fetches a large report, and some wait for its result.
func startSingleFlight() {
	f := hold(&flight{})
	f.group.Add(1)
	go f.fetch(hold(make(chan string)))
	for range 5 {
		go f.result()
	}
}

func (f *flight) fetch(source <-chan string) {
	defer f.group.Done()
	f.value = <-source
}

func (f *flight) result() string {
	f.group.Wait()
	return f.value
}

func startGenerator() {
	go generate(hold(make(chan int)))
}

// generate is the id generator: it waits for somebody who wants the next one.
func generate(ids chan<- int) {
	for i := 0; ; i++ {
		ids <- i
	}
}

func startCoroutine() {
	next, stop := iter.Pull(func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
		}
	})
	next()
	hold(next)
	hold(stop)
}

type lazyClient struct {
	once  sync.Once
	ready chan string
}

func startLazyClients() {
	l := hold(&lazyClient{})
	for range 3 {
		go func() { <-l.connected() }()
	}
}

func (l *lazyClient) connected() <-chan string {
	l.once.Do(func() { l.ready = make(chan string) })
	return l.ready
}

type versioned struct {
	mu      sync.Mutex
	changed *sync.Cond
	version int
}

func startVersionWatchers() {
	v := hold(&versioned{})
	v.changed = sync.NewCond(&v.mu)
	for range 7 {
		go v.after(0)
	}
}

func (v *versioned) after(seen int) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.version == seen {
		v.changed.Wait()
	}
	return v.version
}

func startFanIn() {
	out := hold(make(chan int))
	var group sync.WaitGroup
	for range 4 {
		in := hold(make(chan int))
		group.Add(1)
		go func() {
			defer group.Done()
			for v := range in {
				out <- v
			}
		}()
	}
	go func() {
		group.Wait()
		close(out)
	}()
	go func() {
		for range out {
		}
	}()
}

func startReflectSelect() {
	var cases []reflect.SelectCase
	for range 6 {
		c := hold(make(chan int))
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)})
	}
	go func() {
		for {
			_, _, _ = reflect.Select(cases)
		}
	}()
}

type machine struct{ up, down, fail, reset chan struct{} }

func startMachines() {
	for range 3 {
		m := hold(&machine{make(chan struct{}), make(chan struct{}), make(chan struct{}), make(chan struct{})})
		go m.run()
	}
}

func (m *machine) run() {
	for state := "down"; state != ""; {
		select {
		case <-m.up:
			state = "up"
		case <-m.down:
			state = "down"
		case <-m.fail:
			state = "failed"
		case <-m.reset:
			state = "down"
		}
	}
}

func startAckWaiters() {
	for range 4 {
		ack := hold(make(chan uint64, 1))
		go func() {
			for {
				timeout, cancel := context.WithTimeout(serving, time.Minute)
				select {
				case <-ack:
				case <-timeout.Done():
				}
				cancel()
			}
		}()
	}
}

type wal struct{ requests chan chan error }

func startWAL() {
	w := hold(&wal{requests: make(chan chan error)})
	go w.syncer()
}

func (w *wal) syncer() {
	for r := range w.requests {
		r <- nil
	}
}

// startInformers: each has a reflector and a listener in two halves.
func startInformers() {
	for range 5 {
		events, next := hold(make(chan string)), hold(make(chan string))
		go reflectorWatch(events)
		go func() {
			for e := range events {
				next <- e
			}
		}()
		go func() {
			for e := range next {
				_ = e
			}
		}()
	}
}

func reflectorWatch(events chan<- string) {
	resync, expired := time.NewTicker(10*time.Minute), time.NewTimer(time.Hour)
	for {
		select {
		case <-resync.C:
			events <- "resync"
		case <-expired.C:
			return
		case <-serving.Done():
			return
		}
	}
}

type rpcStream struct {
	received chan []byte
	closed   chan struct{}
}

func startStreams() {
	for range 4 {
		s := hold(&rpcStream{make(chan []byte), make(chan struct{})})
		go func() { _, _ = io.ReadAll(s) }()
	}
	for range 2 {
		frames := hold(make(chan []byte))
		go loopyWriter(frames)
		go keepalivePings(frames)
	}
}

func (s *rpcStream) Read(p []byte) (int, error) {
	select {
	case b := <-s.received:
		return copy(p, b), nil
	case <-s.closed:
		return 0, io.EOF
	}
}

func loopyWriter(frames <-chan []byte) {
	for f := range frames {
		_ = f
	}
}

func keepalivePings(frames chan<- []byte) {
	for timer := time.NewTimer(20 * time.Second); ; timer.Reset(20 * time.Second) {
		<-timer.C
		frames <- nil
	}
}

type future struct {
	done  chan struct{}
	value int
}

func startFuture() {
	f := hold(&future{done: make(chan struct{})})
	for range 2 {
		go f.get()
	}
}

func (f *future) get() int {
	<-f.done
	return f.value
}

func startHedged() {
	first, second := hold(make(chan int)), hold(make(chan int))
	go func() {
		select {
		case <-first:
		case <-second:
		case <-serving.Done():
		}
	}()
}

// Deep stacks.

// step is one of a workflow; it runs those inside it and waits for an approval.
type step struct {
	inside   *step
	approved chan bool
}

func startWorkflows() {
	for range 3 {
		s := &step{approved: make(chan bool)}
		for range 24 {
			s = &step{inside: s}
		}
		go hold(s).run(serving)
	}
}

func (s *step) run(ctx context.Context) error {
	if s.inside != nil {
		return s.inside.run(ctx)
	}
	for {
		select {
		case <-s.approved:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(30 * time.Second): // a reminder
		}
	}
}

type jobHandler func(ctx context.Context) error

func startMiddleware() {
	inbox := hold(make(chan struct{}))
	h := jobHandler(func(ctx context.Context) error {
		select {
		case <-inbox:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	for range 6 {
		h = recovered(timed(h))
	}
	for range 5 {
		go h(serving)
	}
}

func recovered(h jobHandler) jobHandler {
	return func(ctx context.Context) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v", r)
			}
		}()
		return h(ctx)
	}
}

func timed(h jobHandler) jobHandler {
	return func(ctx context.Context) error {
		began := time.Now()
		defer func() { _ = time.Since(began) }()
		return h(ctx)
	}
}

// startDiskScan looks at one file every other second, for ever.
func startDiskScan() {
	go func() {
		for {
			_ = filepath.WalkDir("/etc", func(string, fs.DirEntry, error) error {
				time.Sleep(2 * time.Second)
				return nil
			})
		}
	}()
}

// startReports renders rows as they come.
func startReports() {
	page := template.Must(template.New("page").Parse(`{{define "row"}}{{.}}{{end}}{{range .}}{{template "row" .}}{{end}}`))
	rows := hold(make(chan string))
	go func() { _ = page.Execute(io.Discard, rows) }()
	go func() {
		for range time.NewTicker(3 * time.Second).C {
			rows <- "row"
		}
	}()
}

func startStreamDecoders() {
	for range 2 {
		here, there := net.Pipe()
		hold(there)
		go decodeEvents(here)
	}
}

func decodeEvents(r io.Reader) {
	for dec := json.NewDecoder(r); ; {
		var event struct{ Name string }
		if err := dec.Decode(&event); err != nil {
			return
		}
	}
}

func startInflater() {
	r, w := io.Pipe()
	go func() { // the sender keeps the stream open
		z := hold(gzip.NewWriter(w))
		_, _ = z.Write([]byte("first block"))
		_ = z.Flush()
	}()
	go func() {
		if z, err := gzip.NewReader(r); err == nil {
			_, _ = io.Copy(io.Discard, z)
		}
	}()
	hold(w)
}

func startRPC() {
	for range 2 {
		here, there := net.Pipe()
		go rpc.NewServer().ServeConn(there)
		hold(rpc.NewClient(here))
	}
}

// Sockets, pipes, files and processes.

func startTCPServer() {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	go acceptLoop(l)
	for range 6 {
		c := must(net.Dial("tcp", l.Addr().String()))
		go readReplies(hold(c))
	}
}

func acceptLoop(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go serveLines(c)
	}
}

func serveLines(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, line)
	}
}

func readReplies(c net.Conn) {
	var header [8]byte
	for {
		if _, err := io.ReadFull(c, header[:]); err != nil {
			return
		}
	}
}

func startUnixServer() {
	l := must(net.Listen("unix", fmt.Sprintf("@ordinary-%d", os.Getpid()))) // @ leaves no file
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
}

// startHTTPServer has idle keep-alive connections, streams of events and
// hijacked connections, with both their ends.
func startHTTPServer() {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") })
	mux.HandleFunc("/events", serveEvents)
	mux.HandleFunc("/socket", serveSocket)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	srv := &http.Server{Handler: mux}
	go srv.Serve(l)
	url := "http://" + l.Addr().String()
	for range 10 {
		client := hold(&http.Client{Transport: &http.Transport{}})
		resp := must(client.Get(url + "/hello"))
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	for range 2 {
		client := &http.Client{Transport: &http.Transport{}}
		go followEvents(must(client.Get(url + "/events")))
	}
	for range 4 {
		c := must(net.Dial("tcp", l.Addr().String()))
		_, _ = io.WriteString(c, "GET /socket HTTP/1.1\r\nHost: ordinary\r\n\r\n")
		hold(c)
	}
}

func serveEvents(w http.ResponseWriter, r *http.Request) {
	ticker := time.NewTicker(15 * time.Second)
	defer ticker.Stop()
	for {
		_, _ = io.WriteString(w, "data: alive\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}

func followEvents(resp *http.Response) {
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		_ = s.Text()
	}
}

func serveSocket(w http.ResponseWriter, _ *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	send := hold(make(chan []byte))
	go writePump(c, send)
	readPump(rw)
}

func writePump(c net.Conn, send <-chan []byte) {
	ping := time.NewTicker(50 * time.Second)
	for {
		select {
		case b := <-send:
			_, _ = c.Write(b)
		case <-ping.C:
		}
	}
}

func readPump(r io.Reader) {
	buf := make([]byte, 512)
	for {
		if _, err := r.Read(buf); err != nil {
			return
		}
	}
}

func startHTTP2() {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	resp := must(hold(srv).Client().Get(srv.URL))
	_ = resp.Body.Close()
}

func startLineReaders() {
	for range 3 {
		r, w := io.Pipe()
		hold(w)
		go func() {
			for s := bufio.NewScanner(r); s.Scan(); {
				_ = s.Text()
			}
		}()
	}
}

func startAuditPipe() {
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		hold(w)
		go func() { _, _ = bufio.NewReader(r).ReadBytes(0) }()
	}
}

func startCopiers() {
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		hold(w)
		go func() { _, _ = io.Copy(io.Discard, r) }()
	}
}

func startStatsd() {
	for range 2 {
		c := must(net.ListenPacket("udp", "127.0.0.1:0"))
		go func() {
			buf := make([]byte, 1500)
			for {
				if _, _, err := c.ReadFrom(buf); err != nil {
					return
				}
			}
		}()
	}
}

func startSyslog() {
	name := fmt.Sprintf("@ordinary-log-%d", os.Getpid())
	c := must(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"}))
	go func() {
		buf := make([]byte, 2048)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
}

// startDeviceReader reads what the poller cannot watch: a thread sits in read(2).
func startDeviceReader() {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
		panic(err)
	}
	go func() {
		buf := make([]byte, 16)
		for {
			if n, err := syscall.Read(fds[0], buf); n == 0 && err == nil {
				return
			}
		}
	}()
}

func startTailers() {
	for range 2 {
		f := must(os.Open("/etc/passwd"))
		go func() {
			for buf := make([]byte, 4096); ; {
				if _, err := f.Read(buf); err == io.EOF {
					time.Sleep(6 * time.Second)
				}
			}
		}()
	}
}

// startChildren waits for one program, and reads what another one prints.
func startChildren() {
	sleep := exec.Command("sleep", "1000")
	// The signal comes when the thread ends that started it. Go ends no thread
	// before the process, but those that a goroutine locked.
	sleep.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := sleep.Start(); err != nil {
		panic(err)
	}
	go func() { _ = sleep.Wait() }()

	cat := exec.Command("cat")
	cat.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	hold(must(cat.StdinPipe()))
	out := must(cat.StdoutPipe())
	if err := cat.Start(); err != nil {
		panic(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			_ = s.Text()
		}
		_ = cat.Wait()
	}()
}

type noDatabase struct{}

func (noDatabase) Connect(context.Context) (driver.Conn, error) { return nil, errUnreachable }
func (noDatabase) Driver() driver.Driver                        { return nil }

func startDatabases() {
	for range 2 {
		hold(sql.OpenDB(noDatabase{}))
	}
}
