package values

import (
	"errors"
	"io"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// liveKinds has a variable of every kind.
type liveKinds struct {
	Bool    bool
	I8      int8
	I16     int16
	I32     int32
	I64     int64
	U8      uint8
	F32     float32
	F64     float64
	C       complex128
	D       time.Duration
	Time    time.Time
	Where   time.Location
	Atomic  atomic.Int32
	hits    atomic.Int64
	Any     atomic.Value
	Pointed atomic.Pointer[Node]
	Array   [2]int16
	Bytes   [3]byte
	Pointer *int
	Unsafe  unsafe.Pointer
	Struct  struct{ N int }
	Chan    chan int
	Func    func()
	String  string
	Slice   []int
	Map     map[string]int
	Empty   []int
	NoMap   map[string]int
	Error   error
	NoError error
	Value   reflect.Value
	State   State
	User    User
	Next    *liveKinds
	secret  secret
}

func live(v any) string {
	var b strings.Builder
	_, _ = WriteLive(&b, v)
	return b.String()
}

func TestLive(t *testing.T) {
	seven := 7
	k := &liveKinds{
		Bool: true, I8: -1, I16: 2, I32: 3, I64: 4, U8: 5, F32: 0.5, F64: 1.5, C: complex(1, 2), D: time.Second, Time: when,
		Array: [2]int16{8, 9}, Bytes: [3]byte{'a', 'b', 'c'}, Pointer: &seven, Chan: make(chan int, 3), Func: begins,
		String: "hidden", Slice: []int{1, 2}, Map: map[string]int{"hidden": 1}, Error: errors.New("hidden"), Value: reflect.ValueOf("hidden"),
		State: 99, User: User{7}, secret: 4,
	}
	k.Struct.N = 6
	k.Atomic.Store(10)
	k.hits.Store(11)
	k.Any.Store(State(1))
	k.Pointed.Store(&Node{Name: "hidden"})
	k.Next = k
	want := lines("&values.liveKinds{",
		"  Bool: true", "  I8: -1", "  I16: 2", "  I32: 3", "  I64: 4", "  U8: 5", "  F32: 0.5", "  F64: 1.5",
		"  C: 1+2i", "  D: 1s", "  Time: 2026-01-02 03:04:05.000000006 +0000 UTC", "  Where: time.Location(not read)",
		"  Atomic: atomic.Int32(10)", "  hits: atomic.Int64(11)", "  Any: atomic.Value(values.State(1))",
		"  Pointed: atomic.Pointer[values.Node](&values.Node{", "    Name: string(6 bytes not read)", "    Next: nil *values.Node", "  })",
		"  Array: [2]int16{", "    0: 8", "    1: 9", "  }", `  Bytes: [3]uint8("abc")`, "  Pointer: &7", "  Unsafe: nil unsafe.Pointer",
		"  Struct: struct { N int }{", "    N: 6", "  }", "  Chan: chan int (0 of 3 buffered)", "  Func: func FUNC",
		"  String: string(6 bytes not read)", "  Slice: []int{2 not read}", "  Map: map[string]int{1 not read}", "  Empty: nil []int", "  NoMap: nil map[string]int",
		"  Error: error(not read)", "  NoError: nil error", "  Value: reflect.Value(not read)", "  State: values.State(99)", "  User: values.User(not read)",
		"  Next: <cycle: *values.liveKinds>", "  secret: values.secret(4)", "}")
	name := strings.TrimSuffix(strings.TrimPrefix(Text(begins), "func "), "\n")
	require.Equal(t, strings.Replace(want, "FUNC", name, 1), live(k))
	require.NotContains(t, ShortLive(k, 10_000), "hidden")
}

func TestLiveShowsTheValueItself(t *testing.T) {
	var complete bool
	text := func(v any) string {
		var b strings.Builder
		var err error
		complete, err = WriteLive(&b, v)
		require.NoError(t, err)
		return b.String()
	}
	for want, v := range map[string]any{
		"nil\n": nil, `"a"` + "\n": "a", "3\n": 3, "values.State(1)\n": State(1), "nil *values.Node\n": (*Node)(nil), "nil []int\n": []int(nil),
		lines("values.Node{", `  Name: "by value"`, "  Next: nil *values.Node", "}"): Node{Name: "by value"},
		lines("values.Pair{", "  A: int8(1)", "  b: 2", "}"):                         Pair{A: int8(1), b: 2},
		"reflect.Value(3)\n": reflect.ValueOf(3), "time.Duration(1s)\n": time.Second,
		"time.Time(2026-01-02 03:04:05.000000006 +0000 UTC)\n": when,
	} {
		require.Equal(t, want, text(v))
		require.True(t, complete, want)
	}
	for want, v := range map[string]any{
		"[]int{2 not read}\n": []int{1, 2}, "map[string]int{0 not read}\n": map[string]int{}, "&string(1 bytes not read)\n": new("a"),
		"values.Token(not read)\n": Token("x"), "*values.User(not read)\n": &User{1}, "values.Ever(not read)\n": Ever{},
	} {
		require.Equal(t, want, text(v))
		require.False(t, complete, want)
	}
	require.Equal(t, "3 not read", strings.Trim(ShortLive([]int{1, 2, 3}, 80), "{}"))
}

// TestLiveReadsNumbersOnly writes atomically what is read, and everything else
// without a lock. So the race detector reports any other read.
func TestLiveReadsNumbersOnly(t *testing.T) {
	type written struct {
		N     int64
		Hits  atomic.Int32
		Small uint32
		Next  atomic.Pointer[Node]
		Last  any
		Name  string
		User  User
		Value reflect.Value
	}
	w := &written{}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := int64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			atomic.StoreInt64(&w.N, i)
			w.Hits.Add(1)
			atomic.StoreUint32(&w.Small, uint32(i))
			w.Next.Store(&Node{})
			w.User.ID = int(i)
			w.Value = reflect.ValueOf(i)
		}
	})
	for range 2000 {
		require.Contains(t, live(w), "Value: reflect.Value(not read)")
		require.Contains(t, ShortLive(w, 500), "N: ")
	}
	close(stop)
	writer.Wait()
}

// TestNumbersInPointers: C code may keep a number in a pointer. If it were on the
// stack when the stack grows, the program would end.
func TestNumbersInPointers(t *testing.T) {
	type handle struct {
		P *int
		U unsafe.Pointer
		A atomic.Pointer[int]
		N int
	}
	h := &handle{N: 3}
	for _, field := range []unsafe.Pointer{unsafe.Pointer(&h.P), unsafe.Pointer(&h.U), unsafe.Pointer(&h.A)} {
		*(*uintptr)(field) = 1
	}
	want := lines("&values.handle{", "  P: !no pointer: 0x1", "  U: unsafe.Pointer(0x1)", "  A: atomic.Pointer[int](unsafe.Pointer(0x1))", "  N: 3", "}")
	require.Equal(t, want, live(h))
	require.Equal(t, want, Text(h))
}

func TestOddTimes(t *testing.T) {
	zone := time.FixedZone("\x1b[31m\n"+strings.Repeat("x", 1<<20), 3600)
	text := Text(time.Unix(0, 0).In(zone))
	require.Less(t, len(text), 3*maxString)
	require.NotContains(t, text, "\x1b")
	require.Equal(t, 1, strings.Count(text, "\n"))
	require.Contains(t, Text(time.Unix(0, 0).In(&time.Location{})), "UTC")
	require.NotContains(t, Text(*zone), "\x1b")
	require.NotContains(t, live(&struct{ At time.Time }{time.Unix(0, 0).In(zone)}), "x")
	far := time.Unix(1<<62, 0)
	require.Contains(t, live(&struct{ At time.Time }{far}), "At: ")
}

func TestHugeChannels(t *testing.T) {
	c := make(chan struct{}, math.MaxInt32)
	require.Equal(t, "chan struct {} (0 of 2,147,483,647 buffered)\n", Text(c))
	require.Equal(t, Text(c), live(c))
}

type wraps struct{ error }

func (w wraps) Unwrap() error { return w.error }

type roundError struct{}

func (e *roundError) Error() string { return "round" }
func (e *roundError) Unwrap() error { return e }

type panicsEverywhere struct{ list []int }

func (e panicsEverywhere) Error() string { panic(e) }
func (e panicsEverywhere) Is(error) bool { panic(e) }
func (e panicsEverywhere) Unwrap() error { panic(e) }

type silentStringer struct{ n int }

func (s *silentStringer) String() string { return "n is " + string(rune('0'+s.n)) }

func TestFailure(t *testing.T) {
	cycle := []any{nil}
	cycle[0] = cycle
	for want, v := range map[string]any{
		"a\nb": "a\nb", "EOF": io.EOF, "nil": nil, "3": 3, "values.Plain(2)": Plain(2), "busy": State(1), "n is 1": &silentStringer{1},
		"values.State(9) (its String panicked: runtime error: index out of range [9] with length 3)":                              State(9),
		"nil *values.silentStringer (its String panicked: runtime error: invalid memory address or nil pointer dereference)":      (*silentStringer)(nil),
		"values.panicsWithItself{} (its Error panicked: values.panicsWithItself{})":                                               panicsWithItself{},
		"values.Bad{With: values.panicsWithItself{}} (its Error panicked: values.panicsWithItself{})":                             Bad{panicsWithItself{}},
		"values.panicsEverywhere{list: []int{1 not read}} (its Error panicked: values.panicsEverywhere{list: []int{1 not read}})": panicsEverywhere{[]int{1}},
		"values.Pair{A: nil, b: 1}": Pair{b: 1}, "[]any{1 not read}": cycle, "&values.Node{Name: string(1 bytes not read), Next: nil *values.Node}": &Node{Name: "x"},
	} {
		require.Equal(t, want, Failure(v))
	}
	require.Less(t, len(Failure(strings.Repeat("x", 1<<20))), maxFailure+100)
	require.Less(t, len(Failure(errors.New(strings.Repeat("x", 1<<20)))), maxFailure+100)
}

func TestContain(t *testing.T) {
	require.NoError(t, Contain(nil))
	err := Contain(wraps{wraps{io.ErrNoProgress}})
	require.EqualError(t, err, io.ErrNoProgress.Error())
	require.ErrorIs(t, err, io.ErrNoProgress)
	require.NotErrorIs(t, err, io.EOF)
	require.Same(t, err, Contain(err))
	found, ok := errors.AsType[wraps](err)
	require.True(t, ok)
	require.Equal(t, wraps{wraps{io.ErrNoProgress}}, found)
	var numbered interface{ Timeout() bool }
	require.False(t, errors.As(err, &numbered))

	for _, bad := range []error{panicsEverywhere{[]int{1}}, &roundError{}, (*roundError)(nil), errors.Join(panicsEverywhere{}, io.EOF), wraps{nil}, wraps{panicsEverywhere{}}} {
		err := Contain(bad)
		require.NotEmpty(t, err.Error())
		require.False(t, errors.Is(err, panicsEverywhere{})) // two of them cannot be compared
		require.False(t, errors.Is(err, io.ErrClosedPipe))
		_, ok := errors.AsType[*otherError](err)
		require.False(t, ok)
	}
	require.ErrorIs(t, Contain(errors.Join(panicsEverywhere{}, io.EOF)), io.EOF)
}

type otherError struct{}

func (*otherError) Error() string { return "" }

func TestLogValuesThatPanic(t *testing.T) {
	v := slog.GroupValue(slog.Any("bad", Bad{panicsEverywhere{}}), slog.Any("valuer", panicsInLogValue{}), slog.Any("cycle", Ever{}))
	require.Contains(t, Text(logs{v}), "bad: values.Bad{ // !panic in Error: values.panicsEverywhere{")
	require.Contains(t, Text(logs{v}), "valuer: values.panicsInLogValue as logged: !panic in LogValue: values.panicsEverywhere{")
}

type logs struct{ v slog.Value }

func (l logs) LogValue() slog.Value { return l.v }

type panicsInLogValue struct{}

func (panicsInLogValue) LogValue() slog.Value { panic(panicsEverywhere{}) }
