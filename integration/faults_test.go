//go:build linux

package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// faults start a fault in this process and return when it is in full effect.
// The comment GUILTY ends the lines which a diagnosis should name, with the
// names of the faults; any one of a fault's lines is the culprit.
var faults = map[string]func(){
	"channelLeak":     quotesLeak,
	"channelLeak2":    notificationsLeak,
	"lockConvoy":      sessionsBehindBackend,
	"lockConvoy2":     routesBehindExport,
	"deadlock":        transfersCross,
	"deadlock2":       ordersCross,
	"spin":            replicatorSpins,
	"spin2":           spinLockStaysLocked,
	"mapGrows":        eventsSeenGrow,
	"mapGrows2":       auditTrailGrows,
	"memoryLimit":     catalogueFillsLimit,
	"memoryLimit2":    uploadsFillLimit,
	"descriptors":     exportsKeepConnections,
	"descriptors2":    segmentsStayOpen,
	"stuckLog":        logBlocks,
	"stuckLog2":       slogBlocks,
	"deadDownstream":  pricesDoNotCome,
	"deadDownstream2": stockDoesNotCome,
	"missedWakeup":    mailboxMissesPut,
	"missedWakeup2":   gateReplaced,
}

// guiltyLines returns the lines of a fault, as faults_test.go:LINE.
func guiltyLines(t *testing.T, name string) (lines []string) {
	t.Helper()
	const file = "faults_test.go"
	source, err := os.ReadFile(file)
	require.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(source)) {
		n++
		if _, names, ok := strings.Cut(line, "// GUILTY "); ok && slices.Contains(strings.Fields(names), name) {
			lines = append(lines, fmt.Sprintf("%s:%d", file, n))
		}
	}
	require.NotEmpty(t, lines, "no line is marked GUILTY %s", name)
	return lines
}

// A backend and the clients are another process, lest their goroutines and
// descriptors be among those of the program under diagnosis.

// init makes this binary one of the peers before it is a test.
func init() {
	switch words := strings.Fields(os.Getenv("INTEGRATION_PEER")); {
	case len(words) == 0:
		return
	case words[0] == "silent":
		silentPeer()
	case words[0] == "clients":
		clientsPeer(words[1], atoi(words[2]), atoi(words[3]), atoi(words[4]))
	case words[0] == "keepalive":
		keepConnections(words[1], atoi(words[2]))
		fmt.Println("ready")
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the program is gone, however it went
	os.Exit(0)
}

func atoi(s string) int { return must(strconv.Atoi(s)) }

// startPeer starts this binary as a peer and returns the first line it prints.
func startPeer(what string, args ...any) string {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "INTEGRATION_PEER="+what+" "+strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// The pipes are files, so that os/exec starts no goroutine.
	in, keep, err := os.Pipe()
	out, printed, err2 := os.Pipe()
	if err := errors.Join(err, err2); err != nil {
		panic(err)
	}
	hold(keep) // its end is the peer's end too
	cmd.Stdin, cmd.Stdout = in, printed
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	_, _ = in.Close(), printed.Close()
	if err := out.SetReadDeadline(time.Now().Add(testwait.Patience)); err != nil {
		panic(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		panic(fmt.Errorf("the peer %s: %w", what, err))
	}
	_ = out.Close()
	return strings.TrimSpace(line)
}

// silentPeer accepts connections and never answers.
func silentPeer() {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Println(l.Addr())
	for {
		hold(must(l.Accept()))
	}
}

// clientsPeer makes n requests, so many at a time, and then a few per second.
func clientsPeer(url string, n, atATime, perSecond int) {
	fmt.Println("ready")
	get := func() {
		if resp, err := http.Get(url + strconv.FormatInt(rand.Int64(), 36)); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = atATime
	var left atomic.Int64
	left.Store(int64(n))
	for range atATime {
		go func() {
			for left.Add(-1) >= 0 {
				get()
			}
		}()
	}
	if perSecond > 0 {
		go func() {
			for range time.Tick(time.Second / time.Duration(perSecond)) {
				go get()
			}
		}()
	}
}

// serve serves h and counts the requests that came and that are being served.
func serve(h http.Handler) (url string, came, served *atomic.Int64) {
	came, served = new(atomic.Int64), new(atomic.Int64)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came.Add(1)
		served.Add(1)
		defer served.Add(-1)
		h.ServeHTTP(w, r)
	}))
	return "http://" + l.Addr().String(), came, served
}

// await returns a moment after ok, so that those counted are where they wait.
func await(what string, ok func() bool) {
	testwait.Until(ok, what)
	time.Sleep(200 * time.Millisecond) // the moment; nothing says when they are there
}

// computes returns when the process has had a CPU for a while: what it does then
// is under way.
func computes() {
	had := func() time.Duration {
		var use syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
			panic(err)
		}
		return time.Duration(use.Utime.Nano())
	}
	before := had()
	testwait.Until(func() bool { return had() > before+200*time.Millisecond }, "200 ms of CPU time")
}

// channelLeak

// quotes asks for prices and gives up after a while.
type quotes struct{ source priceSource }

type priceSource struct{ delay time.Duration }

func (s priceSource) lookup(item string) int {
	time.Sleep(s.delay)
	return len(item)
}

func (q *quotes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	price, err := q.price(r.Context(), r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
		return
	}
	fmt.Fprintln(w, price)
}

func (q *quotes) price(ctx context.Context, item string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	answer := make(chan int)
	go func() {
		answer <- q.source.lookup(item) // GUILTY channelLeak
	}()
	select {
	case p := <-answer:
		return p, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func quotesLeak() {
	url, came, _ := serve(&quotes{priceSource{30 * time.Millisecond}})
	startPeer("clients", url+"/", 400, 20, 20)
	await("400 quotes", func() bool { return came.Load() >= 400 })
}

// notifier tells the customer when an order is done.
type notifier struct {
	mu   sync.Mutex
	done map[string]chan struct{} // by customer: a second order replaces the first
}

func (n *notifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.watch(strconv.Itoa(len(r.URL.Path)))
	w.WriteHeader(http.StatusAccepted)
}

func (n *notifier) watch(customer string) {
	done := make(chan struct{})
	n.mu.Lock()
	n.done[customer] = done
	n.mu.Unlock()
	go n.notify(customer, done)
}

func (n *notifier) notify(customer string, done <-chan struct{}) {
	<-done // GUILTY channelLeak2
	stdlog.Println("the order is done of", customer)
}

func notificationsLeak() {
	url, came, _ := serve(hold(&notifier{done: map[string]chan struct{}{}}))
	startPeer("clients", url+"/", 2000, 16, 20)
	await("2000 notifications", func() bool { return came.Load() >= 2000 })
}

// lockConvoy

// sessions is a cache before a backend.
type sessions struct {
	mu      sync.Mutex
	byID    map[string]string
	backend *lineClient
}

func (s *sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, err := s.user(r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, user)
}

func (s *sessions) user(id string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user, ok := s.byID[id]; ok {
		return user, nil
	}
	user, err := s.backend.ask("GET " + id) // GUILTY lockConvoy
	if err == nil {
		s.byID[id] = user
	}
	return user, err
}

// lineClient speaks a protocol of a line for a line.
type lineClient struct {
	c net.Conn
	r *bufio.Reader
}

func dialLines(address string) *lineClient {
	c := must(net.Dial("tcp", address))
	return &lineClient{c, bufio.NewReader(c)}
}

func (l *lineClient) ask(question string) (string, error) {
	if _, err := fmt.Fprintln(l.c, question); err != nil {
		return "", err
	}
	answer, err := l.r.ReadString('\n')
	return strings.TrimSpace(answer), err
}

func sessionsBehindBackend() {
	s := &sessions{byID: map[string]string{}, backend: dialLines(startPeer("silent"))}
	url, _, served := serve(s)
	startPeer("clients", url+"/", 61, 61, 0)
	await("61 requests", func() bool { return served.Load() >= 61 })
}

// routes is a table which is read, changed and exported.
type routes struct {
	mu   sync.RWMutex
	next map[string]string
}

func (t *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/export"):
		t.serveExport(w)
	case strings.HasPrefix(r.URL.Path, "/update"):
		t.update(r.URL.Path, r.RemoteAddr)
	default:
		fmt.Fprintln(w, t.lookup(r.URL.Path))
	}
}

func (t *routes) lookup(to string) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.next[to]
}

func (t *routes) update(to, via string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next[to] = via
}

// serveExport writes what fits into a page, and forgets that there may be more.
func (t *routes) serveExport(w io.Writer) {
	entries := make(chan string)
	go func() {
		for range 10 {
			fmt.Fprintln(w, <-entries)
		}
	}()
	t.export(entries)
}

func (t *routes) export(entries chan<- string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for to, via := range t.next {
		entries <- to + " " + via // GUILTY lockConvoy2
	}
}

func routesBehindExport() {
	t := &routes{next: map[string]string{}}
	for i := range 100 {
		t.next[strconv.Itoa(i)] = "127.0.0.1"
	}
	url, _, served := serve(t)
	// In this order: whoever reads before a writer waits would pass.
	for i, what := range []string{"/export/", "/update/", "/lookup/"} {
		n := []int{1, 6, 54}[i]
		before := served.Load()
		startPeer("clients", url+what, n, n, 0)
		await(what, func() bool { return served.Load() == before+int64(n) })
	}
}

// deadlock

type account struct {
	mu      sync.Mutex
	balance int
}

// bank transfers between accounts, each transfer by a goroutine of its own.
type bank struct{ transfers atomic.Int64 }

func (b *bank) transfer(from, to *account, amount int) {
	from.mu.Lock()
	defer from.mu.Unlock()
	if !b.approve(from, amount) {
		return
	}
	to.mu.Lock() // GUILTY deadlock
	defer to.mu.Unlock()
	from.balance -= amount
	to.balance += amount
}

// approve takes as long as a fraud check does.
func (b *bank) approve(from *account, amount int) bool {
	b.transfers.Add(1)
	time.Sleep(100 * time.Millisecond)
	return from.balance >= amount
}

func transfersCross() {
	b := new(bank)
	anna, bert := hold(&account{balance: 100}), hold(&account{balance: 100})
	go b.transfer(anna, bert, 10)
	go b.transfer(bert, anna, 20)
	await("two transfers", func() bool { return b.transfers.Load() == 2 })
}

// orders and inventory each call the other with their own lock held.
type orders struct {
	mu        sync.Mutex
	open      map[string]int
	inventory *inventory
}

type inventory struct {
	mu       sync.Mutex
	reserved map[string]int
	orders   *orders
	audits   atomic.Int64
}

func (o *orders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, o.count())
}

func (o *orders) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.open)
}

func (o *orders) cancel(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	time.Sleep(50 * time.Millisecond) // refunds
	o.inventory.release(id)           // GUILTY deadlock2
	delete(o.open, id)
}

func (o *orders) has(id string) bool {
	o.mu.Lock() // GUILTY deadlock2
	defer o.mu.Unlock()
	_, ok := o.open[id]
	return ok
}

func (i *inventory) release(id string) {
	i.mu.Lock() // GUILTY deadlock2
	defer i.mu.Unlock()
	delete(i.reserved, id)
}

// audit drops what is reserved for no order.
func (i *inventory) audit() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.audits.Add(1)
	time.Sleep(50 * time.Millisecond) // reads the books
	for id := range i.reserved {
		if !i.orders.has(id) { // GUILTY deadlock2
			delete(i.reserved, id)
		}
	}
}

func ordersCross() {
	o := &orders{open: map[string]int{"1": 1}}
	o.inventory = &inventory{reserved: map[string]int{"1": 1}, orders: o}
	go o.cancel("1")
	go o.inventory.audit()
	await("the audit", func() bool { return o.inventory.audits.Load() == 1 })
	url, _, served := serve(o)
	startPeer("clients", url+"/", 30, 30, 0)
	await("30 requests", func() bool { return served.Load() == 30 })
}

// spin

var errNotLeader = errors.New("not the leader")

// replicator sends what is pending to the leader, once there is one again.
type replicator struct {
	leader   atomic.Pointer[lineClient]
	pending  map[string]string
	failures int
}

func (r *replicator) run(changes <-chan string) {
	for c := range changes {
		r.pending[c] = c
		r.flush()
	}
}

func (r *replicator) flush() {
	for { // GUILTY spin
		if err := r.send(); err == nil { // GUILTY spin
			return
		}
		r.failures++ // GUILTY spin
	}
}

func (r *replicator) send() error {
	leader := r.leader.Load() // GUILTY spin
	if leader == nil {        // GUILTY spin
		return fmt.Errorf("sending %d changes: %w", len(r.pending), errNotLeader) // GUILTY spin
	}
	_, err := leader.ask(fmt.Sprint(r.pending))
	return err
}

func replicatorSpins() {
	r := hold(&replicator{pending: map[string]string{}})
	changes := hold(make(chan string))
	go r.run(changes)
	changes <- "a"
	computes()
}

// spinLock guards few instructions, so they say.
type spinLock struct{ locked atomic.Bool }

func (l *spinLock) lock() {
	for !l.locked.CompareAndSwap(false, true) { // GUILTY spin2
	}
}

func (l *spinLock) unlock() { l.locked.Store(false) }

// ring is a buffer of the last samples.
type ring struct {
	lock    spinLock
	samples []int
	at      int
}

func (r *ring) add(sample int) {
	r.lock.lock() // GUILTY spin2
	if sample < 0 {
		return // and locked it stays
	}
	r.samples[r.at%len(r.samples)] = sample
	r.at++
	r.lock.unlock()
}

func (r *ring) collect(samples <-chan int) {
	for s := range samples {
		r.add(s)
	}
}

func spinLockStaysLocked() {
	r := hold(&ring{samples: make([]int, 64)})
	samples := hold(make(chan int))
	for range runtime.GOMAXPROCS(0) + 1 {
		go r.collect(samples)
	}
	samples <- 1
	samples <- -1 // its collector goes on to the next sample
	for range runtime.GOMAXPROCS(0) {
		samples <- 2
	}
	computes()
}

// mapGrows

// eventsSeen drops what was seen before, and never forgets.
type eventsSeen struct {
	mu   sync.Mutex
	byID map[uint64][]byte
}

func (s *eventsSeen) first(id uint64, body []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.byID[id]; ok {
		return false
	}
	s.byID[id] = bytes.Clone(body) // GUILTY mapGrows
	return true
}

func (s *eventsSeen) receive(n int, every time.Duration) {
	body := make([]byte, 1000)
	for range n {
		s.first(rand.Uint64(), body)
		if every > 0 {
			time.Sleep(every)
		}
	}
}

func eventsSeenGrow() {
	s := hold(&eventsSeen{byID: map[uint64][]byte{}})
	s.receive(200_000, 0)
	runtime.GC()
	runtime.GC() // the heap profile is of the last but one
	go s.receive(1<<30, 5*time.Millisecond)
}

// auditTrail is to be written out some day.
type auditTrail struct {
	mu      sync.Mutex
	entries []*bytes.Buffer
}

type auditEntry struct {
	At     time.Time
	Who    string
	Before map[string]string
}

func (a *auditTrail) record(e auditEntry) error {
	b := new(bytes.Buffer)
	if err := json.NewEncoder(b).Encode(e); err != nil { // GUILTY mapGrows2
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries = append(a.entries, b) // GUILTY mapGrows2
	return nil
}

func (a *auditTrail) follow(n int, every time.Duration) {
	before := map[string]string{"document": strings.Repeat("lorem ipsum ", 330)}
	for range n {
		if err := a.record(auditEntry{time.Now(), "somebody", before}); err != nil {
			panic(err)
		}
		if every > 0 {
			time.Sleep(every)
		}
	}
}

func auditTrailGrows() {
	a := hold(new(auditTrail))
	a.follow(50_000, 0)
	runtime.GC()
	runtime.GC()
	go a.follow(1<<30, 20*time.Millisecond)
}

// memoryLimit

// catalogue has all items in memory, and became as large as its container.
type catalogue struct{ items []*item }

type item struct {
	name    string
	related [8]*item
	prices  [4]float64
}

func (c *catalogue) load(n int) {
	c.items = make([]*item, 0, n)
	for i := range n {
		it := &item{name: "something"} // GUILTY memoryLimit
		for k := range min(i, len(it.related)) {
			it.related[k] = c.items[i-k-1]
		}
		c.items = append(c.items, it)
	}
}

// search returns the items that are like some item.
func (c *catalogue) search() (found []*item) {
	first := rand.IntN(len(c.items) - 5000)
	for _, it := range c.items[first : first+5000] {
		if it.prices == c.items[first].prices {
			found = append(found, it)
		}
	}
	return found
}

// catalogueFillsLimit has 97 MB of items and pointers to them.
func catalogueFillsLimit() {
	c := hold(new(catalogue))
	c.load(97 << 20 / (112 + 8))
	thrash(100 << 20)
	var hits atomic.Int64
	for range 8 {
		go func() {
			for {
				hits.Add(int64(len(c.search())))
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
	collects(20)
}

// thrash sets the limit, as GOMEMLIMIT would have from the start.
func thrash(limit int64) {
	runtime.GC()
	runtime.GC()
	debug.SetMemoryLimit(limit)
}

// collects returns when the collector has run so many times.
func collects(times uint32) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	end := m.NumGC + times
	testwait.Until(func() bool {
		runtime.ReadMemStats(&m)
		return m.NumGC >= end
	}, strconv.Itoa(int(times))+" collections")
}

// upload has a part in memory while its body comes.
type upload struct {
	part []byte
	body io.Reader
}

func (u *upload) receive() error {
	u.part = make([]byte, 4<<20) // GUILTY memoryLimit2
	for i := range u.part {
		u.part[i] = byte(i)
	}
	_, err := io.ReadFull(u.body, u.part)
	return err
}

func uploadsFillLimit() {
	for range 24 {
		r, w := io.Pipe()
		hold(w)
		go (&upload{body: r}).receive()
	}
	rest()
	thrash(98 << 20)
	for range 8 {
		go func() {
			for {
				if _, err := json.Marshal(make([]int, 20_000)); err != nil {
					panic(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
	collects(20)
}

// descriptors

// limitFiles sets RLIMIT_NOFILE, or what comes next to n if that is not allowed.
func limitFiles(n uint64) uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		panic(err)
	}
	higher := syscall.Rlimit{Cur: n, Max: max(n, limit.Max)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &higher) == nil {
		return n
	}
	limit.Cur = min(n, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		panic(err)
	}
	return limit.Cur
}

func openFiles() int { return len(must(os.ReadDir("/proc/self/fd"))) }

// exporter sends jobs to a store; the store confirms by a message to us, which
// closes confirmed.
type exporter struct{ store string }

func (e *exporter) export(job int, confirmed <-chan struct{}, sent chan<- error) {
	c, err := net.Dial("tcp", e.store) // GUILTY descriptors
	if err != nil {
		sent <- err
		return
	}
	defer c.Close()
	_, err = fmt.Fprintln(c, "PUT", job)
	sent <- err
	<-confirmed // GUILTY descriptors
}

func exportsKeepConnections() {
	e := &exporter{store: startPeer("silent")}
	confirmed, sent := hold(make(chan struct{})), make(chan error)
	limit := limitFiles(1000)
	for job := openFiles(); job < int(limit)*95/100; job++ {
		go e.export(job, confirmed, sent)
		if err := <-sent; err != nil {
			panic(err)
		}
	}
}

// segments are the files of an index, which a merge opens and nobody closes.
type segments struct{ open []*os.File }

func (s *segments) merge(path string) error {
	f, err := os.Open(path) // GUILTY descriptors2
	if err != nil {
		return err
	}
	s.open = append(s.open, f)
	_, err = io.CopyN(io.Discard, f, 64)
	return err
}

func segmentsStayOpen() {
	s := hold(new(segments))
	limit := limitFiles(20_000)
	for range int(limit)*95/100 - openFiles() {
		if err := s.merge("/proc/self/exe"); err != nil {
			panic(err)
		}
	}
	runtime.GC()
	runtime.GC()
}

// stuckLog

// fullPipe is the write end of a pipe that is full, of which the other end is
// open and not read. If it blocks, so does the thread that writes.
func fullPipe(blocks bool) *os.File {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		panic(err)
	}
	for err := error(nil); err == nil; {
		_, err = syscall.Write(fds[1], make([]byte, 1))
	}
	if err := syscall.SetNonblock(fds[1], !blocks); err != nil {
		panic(err)
	}
	return os.NewFile(uintptr(fds[1]), "stderr")
}

// shop logs its requests.
type shop struct{ carts sync.Map }

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		stdlog.Printf("%s: refused %s", r.RemoteAddr, r.Method) // GUILTY stuckLog
		return
	}
	items := s.add(r.RemoteAddr, r.URL.Path)
	fmt.Fprintln(w, items)
}

func (s *shop) add(customer, item string) int {
	if _, had := s.carts.Swap(customer, item); had {
		stdlog.Printf("%s replaces its cart", customer) // GUILTY stuckLog
	}
	stdlog.Printf("%s: a cart with %s", customer, item) // GUILTY stuckLog
	return 1
}

func logBlocks() {
	stdlog.SetOutput(fullPipe(true))
	url, _, served := serve(new(shop))
	startPeer("clients", url+"/", 40, 40, 0)
	await("40 requests", func() bool { return served.Load() == 40 })
}

// ledger logs through a logger that was handed to it.
type ledger struct {
	logger *slog.Logger
	sum    atomic.Int64
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, l.book(r.Context(), r.URL.Path))
}

func (l *ledger) book(ctx context.Context, what string) int64 {
	sum := l.sum.Add(int64(len(what)))
	if sum%5 == 0 {
		l.logger.WarnContext(ctx, "a round sum", "sum", sum) // GUILTY stuckLog2
	}
	l.logger.InfoContext(ctx, "booked", "what", what, slog.Group("now", "sum", sum)) // GUILTY stuckLog2
	return sum
}

func slogBlocks() {
	l := &ledger{logger: slog.New(slog.NewJSONHandler(fullPipe(false), nil)).With("service", "ledger")}
	url, _, served := serve(l)
	startPeer("clients", url+"/", 40, 40, 0)
	await("40 requests", func() bool { return served.Load() == 40 })
}

// deadDownstream

// storefront shows prices, which another service has.
type storefront struct{ prices priceClient }

type priceClient struct {
	http *http.Client
	base string
}

func (s *storefront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	price, err := s.prices.of(r.Context(), r.URL.Path) // GUILTY deadDownstream
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = w.Write(price)
}

func (p priceClient) of(ctx context.Context, item string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+item, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.http.Do(req) // GUILTY deadDownstream
	if err != nil {
		return nil, fmt.Errorf("the price of %s: %w", item, err)
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func pricesDoNotCome() {
	s := &storefront{priceClient{&http.Client{Transport: &http.Transport{}}, "http://" + startPeer("silent")}}
	url, _, served := serve(s)
	startPeer("clients", url+"/", 50, 50, 0)
	await("50 requests", func() bool { return served.Load() == 50 })
}

// warehouse has a connection for each question.
type warehouse struct{ address string }

func (w *warehouse) pick(order int, done *sync.WaitGroup) {
	defer done.Done()
	if _, err := w.stock(strconv.Itoa(order)); err != nil { // GUILTY deadDownstream2
		stdlog.Println(err)
	}
}

func (w *warehouse) stock(item string) (string, error) {
	c, err := net.Dial("tcp", w.address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "STOCK %s\r\n", item); err != nil {
		return "", err
	}
	return w.reply(c) // GUILTY deadDownstream2
}

// reply is a length and so many bytes.
func (w *warehouse) reply(r io.Reader) (string, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil { // GUILTY deadDownstream2
		return "", err
	}
	text := make([]byte, n[3])
	_, err := io.ReadFull(r, text)
	return string(text), err
}

func stockDoesNotCome() {
	w := &warehouse{startPeer("silent")}
	var done sync.WaitGroup
	for order := range 50 {
		done.Add(1)
		go w.pick(order, &done)
	}
	rest()
}

// missedWakeup

type request struct {
	n     int
	reply chan int
}

func (r request) serve() {
	time.Sleep(30 * time.Millisecond)
	r.reply <- r.n * r.n
}

// mailbox is the queue of one tenant, with one worker.
type mailbox struct {
	mu    sync.Mutex
	some  *sync.Cond
	queue []request
	idled atomic.Int64
}

func (m *mailbox) put(r request) {
	m.mu.Lock()
	m.queue = append(m.queue, r)
	m.mu.Unlock()
	m.some.Signal()
}

func (m *mailbox) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue) == 0
}

// next looks first and then waits: a put in between wakes nobody.
func (m *mailbox) next() request {
	if m.empty() {
		m.reportIdle()
		m.mu.Lock()
		m.some.Wait() // GUILTY missedWakeup
		m.mu.Unlock()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.queue[0]
	m.queue = m.queue[1:]
	return r
}

// reportIdle tells the scheduler, over the network.
func (m *mailbox) reportIdle() {
	time.Sleep(20 * time.Millisecond)
	m.idled.Add(1)
}

func (m *mailbox) work() {
	for {
		m.next().serve()
	}
}

func (m *mailbox) ask(n int) int {
	r := request{n, make(chan int)}
	m.put(r)
	return <-r.reply // GUILTY missedWakeup
}

// mailboxMissesPut: the busy tenants' queues are never empty. The quiet one asks
// again soon after an answer, just while its worker reports.
func mailboxMissesPut() {
	var asked atomic.Int64
	ask := func(m *mailbox, pause time.Duration, count *atomic.Int64) {
		for n := 0; ; n++ {
			count.Add(1)
			m.ask(n)
			time.Sleep(pause)
		}
	}
	for tenant := range 8 {
		m := hold(&mailbox{})
		m.some = sync.NewCond(&m.mu)
		if tenant == 5 {
			go m.work()
			await("an idle worker", func() bool { return m.idled.Load() == 1 }) // which does not miss the first
			go ask(m, 8*time.Millisecond, &asked)
			continue
		}
		for range 4 {
			go ask(m, time.Millisecond, new(atomic.Int64))
		}
		await("a queue", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.queue) == 4 })
		go m.work()
	}
	await("a second question", func() bool { return asked.Load() >= 2 })
	// That it does not go on is the subject.
	if time.Sleep(time.Second); asked.Load() > 2 {
		panic("the fault does not occur: the tenant goes on")
	}
}

// lane is a worker with its queue, which maintenance can stop for a while.
type lane struct {
	requests chan request
	mu       sync.Mutex
	gate     chan struct{} // closed: open
	at       chan struct{} // the gate to which the worker came last
	served   atomic.Int64
}

func (l *lane) work() {
	for r := range l.requests {
		l.pass()
		r.serve()
		l.served.Add(1)
	}
}

func (l *lane) pass() {
	l.mu.Lock()
	gate := l.gate
	l.at = gate
	l.mu.Unlock()
	<-gate // GUILTY missedWakeup2
}

func (l *lane) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gate = make(chan struct{}) // if it is paused already, whoever waits at the old gate stays there
}

func (l *lane) resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.gate:
	default:
		close(l.gate)
	}
}

func (l *lane) ask(n int) int {
	r := request{n, make(chan int)}
	l.requests <- r
	return <-r.reply // GUILTY missedWakeup2
}

func (l *lane) askOn() {
	for n := 0; ; n++ {
		l.ask(n)
		time.Sleep(10 * time.Millisecond)
	}
}

func gateReplaced() {
	var lanes []*lane
	for range 8 {
		l := hold(&lane{requests: make(chan request), gate: make(chan struct{})})
		close(l.gate)
		lanes = append(lanes, l)
		go l.work()
		go l.askOn()
	}
	l := lanes[5]
	await("an answer", func() bool { return l.served.Load() > 0 })
	l.pause()
	await("a worker at the gate", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.at == l.gate })
	l.pause() // the backup, while the index is still rebuilt
	l.resume()
	l.resume()
	served := l.served.Load()
	// That it does not go on is the subject.
	if time.Sleep(time.Second); l.served.Load() != served {
		panic("the fault does not occur: the lane goes on")
	}
}
