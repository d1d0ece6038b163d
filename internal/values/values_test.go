package values

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

type (
	State  int
	Plain  int
	Name   string
	Token  string
	secret int
	Pair   struct {
		A any
		b int
	}
	Node struct {
		Name string
		Next *Node
	}
	Self   *Self
	Server struct {
		lock  struct{ held bool }
		Addr  string
		state State
		State State
		_     [64]byte
	}
	Outer struct {
		*Node
		secret
		Plain
	}
	Clock struct {
		At time.Time
		at time.Time
		D  time.Duration
		d  time.Duration
	}
	Counters struct {
		Bool    atomic.Bool
		N       atomic.Int64
		n       atomic.Int64
		b       atomic.Bool
		V       atomic.Value
		Empty   atomic.Value
		Node    atomic.Pointer[Node]
		state   atomic.Pointer[State]
		U       atomic.Uint32
		U64     atomic.Uint64
		I32     atomic.Int32
		Uintptr atomic.Uintptr
	}
	Bad           struct{ With any }
	User          struct{ ID int }
	Ever          struct{}
	Box[T, U any] struct{}
	Kinds         map[Name]State
	Handle        func(int) error
)

func (s State) String() string     { return [...]string{"idle", "busy", "gone"}[s] }
func (s *Server) String() string   { return "server on " + s.Addr }
func (Token) LogValue() slog.Value { return slog.StringValue("REDACTED") }
func (Token) String() string       { return "leaked" }
func (secret) String() string      { panic("the String of an unexported field was called") }
func (b Bad) Error() string        { panic(b.With) }
func (Ever) LogValue() slog.Value  { return slog.AnyValue(Ever{}) }
func (u User) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("id", u.ID), slog.Any("token", Token("x")), slog.Group("g", slog.Duration("d", time.Second)))
}

var when = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

func TestText(t *testing.T) {
	three := 3
	var nilError error
	buffered := make(chan int, 10)
	buffered <- 1
	loaded := new(Counters)
	loaded.Bool.Store(true)
	loaded.b.Store(true)
	loaded.N.Store(5)
	loaded.n.Store(6)
	loaded.U.Store(7)
	loaded.U64.Store(8)
	loaded.I32.Store(-9)
	loaded.Uintptr.Store(16)
	loaded.V.Store(State(1))
	loaded.Node.Store(&Node{Name: "x"})
	loaded.state.Store(new(State))
	shared := &Node{Name: "s"}

	for name, c := range map[string]struct {
		v    any
		want string
	}{
		"nil":              {nil, "nil\n"},
		"nil pointer":      {(*Server)(nil), "nil *values.Server\n"},
		"nil map":          {map[string]int(nil), "nil map[string]int\n"},
		"nil slice":        {[]byte(nil), "nil []byte\n"},
		"nil func":         {(func(int) any)(nil), "nil func(int) any\n"},
		"nil chan":         {(chan int)(nil), "nil chan int\n"},
		"nil unsafe":       {unsafe.Pointer(nil), "nil unsafe.Pointer\n"},
		"nil interfaces":   {&[]any{nil, &nilError}, lines("&[]any{", "  0: nil", "  1: &nil error", "}")},
		"empty map":        {map[string]int{}, "map[string]int{}\n"},
		"empty slice":      {[]any{}, "[]any{}\n"},
		"empty array":      {[0]int{}, "[0]int{}\n"},
		"empty struct":     {struct{}{}, "struct {}{}\n"},
		"int":              {3, "3\n"},
		"pointer":          {&three, "&3\n"},
		"uint8":            {uint8(3), "uint8(3)\n"},
		"bool":             {true, "true\n"},
		"float":            {float32(0.1), "float32(0.1)\n"},
		"complex":          {complex(1, -2), "complex128(1-2i)\n"},
		"uintptr":          {uintptr(31), "uintptr(0x1f)\n"},
		"string":           {"a\"\n\u202e\xff", `"a\"\n\u202e\xff"` + "\n"},
		"constant":         {Plain(2), "values.Plain(2)\n"},
		"with String":      {State(2), "values.State(2) gone\n"},
		"named string":     {Name("x"), `values.Name("x")` + "\n"},
		"bytes of text":    {[]byte("héllo\n"), `[]byte("héllo\n")` + "\n"},
		"bytes":            {[]byte{0, 1, 255}, "[]byte(3 bytes: 0001ff)\n"},
		"array of bytes":   {[3]byte{'a', 'b', 'c'}, `[3]uint8("abc")` + "\n"},
		"many bytes":       {make([]byte, 5000), "[]byte(5,000 bytes: " + strings.Repeat("00", 256) + "... 4,744 bytes more)\n"},
		"much text":        {[]byte(strings.Repeat("é", 2500)), `[]byte("` + strings.Repeat("é", 2048) + "\"... 904 bytes more)\n"},
		"text cut in half": {[]byte("a" + strings.Repeat("é", 2500)), `[]byte("a` + strings.Repeat("é", 2047) + "\"... 906 bytes more)\n"},
		"long string":      {strings.Repeat("é", 8048), `"` + strings.Repeat("é", 2048) + "\"... 12,000 bytes more\n"},
		"chan":             {buffered, "chan int (1 of 10 buffered)\n"},
		"unbuffered":       {make(<-chan int), "<-chan int (unbuffered)\n"},
		"duration":         {1500 * time.Millisecond, "time.Duration(1.5s)\n"},
		"time":             {when, "time.Time(2026-01-02 03:04:05.000000006 +0000 UTC)\n"},
		"location":         {time.UTC, "&time.Location(UTC)\n"},
		"times": {Clock{when, when, time.Second, time.Minute}, lines("values.Clock{",
			"  At: 2026-01-02 03:04:05.000000006 +0000 UTC", "  at: 2026-01-02 03:04:05.000000006 +0000 UTC",
			"  D: 1s", "  d: 1m0s", "}")},
		"zero time": {struct{ at time.Time }{}, lines("struct { at time.Time }{", "  at: 0001-01-01 00:00:00 +0000 UTC", "}")},
		"struct with String of its pointer": {&Server{lock: struct{ held bool }{true}, Addr: ":80", state: 1, State: 1}, lines("&values.Server{ // server on :80",
			"  lock: struct { held bool }{", "    held: true", "  }",
			`  Addr: ":80"`, "  state: values.State(1)", "  State: values.State(1) busy", "}")},
		"method of a pointer, value without address": {reflect.Zero(reflect.TypeFor[Server]()).Interface(), lines("values.Server{",
			"  lock: struct { held bool }{", "    held: false", "  }",
			`  Addr: ""`, "  state: values.State(0)", "  State: values.State(0) idle", "}")},
		"error": {&fs.PathError{Op: "open", Path: "x", Err: os.ErrNotExist}, lines("&fs.PathError{ // open x: file does not exist",
			`  Op: "open"`, `  Path: "x"`, "  Err: &errors.errorString{ // file does not exist", `    s: "file does not exist"`, "  }", "}")},
		"bytes with String":      {net.IP{10, 0, 0, 1}, "net.IP(4 bytes: 0a000001) 10.0.0.1\n"},
		"interface in field":     {Pair{A: int8(1), b: 2}, lines("values.Pair{", "  A: int8(1)", "  b: 2", "}")},
		"map":                    {map[string]int{"b": 2, "a": 1, "c": 3}, lines("map[string]int{", `  "a": 1`, `  "b": 2`, `  "c": 3`, "}")},
		"map with ints":          {map[int8]bool{5: true, -5: false}, lines("map[int8]bool{", "  -5: false", "  5: true", "}")},
		"map with floats":        {map[float64]int{2.5: 1, -1: 2}, lines("map[float64]int{", "  -1: 2", "  2.5: 1", "}")},
		"map with named":         {Kinds{"b": 1, "a": 0}, lines("values.Kinds{", `  values.Name("a"): values.State(0) idle`, `  values.Name("b"): values.State(1) busy`, "}")},
		"map with any":           {map[any]any{"x": 1, 2: 2, uint(1): nil, 1: 3, false: 4, true: 5}, lines("map[any]any{", "  false: 4", "  true: 5", "  1: 3", "  2: 2", "  uint(1): nil", `  "x": 1`, "}")},
		"map with structs":       {map[Pair]*int{{A: 1}: nil}, lines("map[values.Pair]*int{", "  values.Pair{A: 1, b: 0}: nil *int", "}")},
		"no cycle but shared":    {[]*Node{shared, shared}, lines("[]*values.Node{", "  0: &values.Node{", `    Name: "s"`, "    Next: nil *values.Node", "  }", "  1: &values.Node{", `    Name: "s"`, "    Next: nil *values.Node", "  }", "}")},
		"as logged":              {Token("x"), `values.Token as logged: "REDACTED"` + "\n"},
		"group as logged":        {&User{7}, lines("&values.User as logged: {", "  id: int64(7)", `  token: values.Token as logged: "REDACTED"`, "  g: {", "    d: time.Duration(1s)", "  }", "}")},
		"as logged without end":  {Ever{}, strings.Repeat("values.Ever as logged: ", 9) + "...\n"},
		"panic in Error":         {Bad{"boom"}, lines("values.Bad{ // !panic in Error: boom", `  With: "boom"`, "}")},
		"panic with an error":    {Bad{io.EOF}, lines("values.Bad{ // !panic in Error: EOF", "  With: &errors.errorString{ // EOF", `    s: "EOF"`, "  }", "}")},
		"panic with a value":     {Bad{Pair{}}.With, lines("values.Pair{", "  A: nil", "  b: 0", "}")},
		"panic with itself":      {panicsWithItself{}, "values.panicsWithItself{} // !panic in Error: values.panicsWithItself{} (its Error panicked: values.panicsWithItself{})\n"},
		"index out of range":     {State(9), "values.State(9) !panic in String: runtime error: index out of range [9] with length 3\n"},
		"reflect.Value":          {reflect.ValueOf(3), "reflect.Value(3)\n"},
		"reflect.Value of none":  {reflect.Value{}, "reflect.Value(nil)\n"},
		"reflect.Value, its own": {reflect.ValueOf(reflect.ValueOf(Token("x"))), `reflect.Value(reflect.Value(values.Token as logged: "REDACTED"))` + "\n"},
		"atomics": {loaded, lines("&values.Counters{", "  Bool: atomic.Bool(true)", "  N: atomic.Int64(5)", "  n: atomic.Int64(6)", "  b: atomic.Bool(true)",
			"  V: atomic.Value(values.State(1) busy)", "  Empty: atomic.Value(nil)",
			"  Node: atomic.Pointer[values.Node](&values.Node{", `    Name: "x"`, "    Next: nil *values.Node", "  })",
			"  state: atomic.Pointer[values.State](&values.State(0))",
			"  U: atomic.Uint32(7)", "  U64: atomic.Uint64(8)", "  I32: atomic.Int32(-9)", "  Uintptr: atomic.Uintptr(0x10)", "}")},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, Text(c.v))
		})
	}
}

type panicsWithItself struct{}

func (p panicsWithItself) Error() string { panic(p) }

// A promoted method belongs to the outer struct and is called, even if it is
// promoted from an unexported field. It is not called on the field itself.
func TestUnexportedFieldsRunNoMethods(t *testing.T) {
	want := lines("values.Outer{", "  Node: &values.Node{", `    Name: "n"`, "    Next: nil *values.Node", "  }",
		"  secret: values.secret(4)", "  Plain: values.Plain(5)", "}")
	want = strings.Replace(want, "{\n", "{ // !panic in String: the String of an unexported field was called\n", 1)
	require.Equal(t, want, Text(Outer{&Node{Name: "n"}, 4, 5}))

	type hidden struct {
		s      secret
		slice  []secret
		keys   map[secret]any
		any    any
		ptr    *secret
		atomic atomic.Pointer[secret]
		behind atomic.Pointer[map[secret]secret]
	}
	h := &hidden{s: 1, slice: []secret{2}, keys: map[secret]any{3: secret(4)}, any: secret(5), ptr: new(secret)}
	h.atomic.Store(new(secret))
	h.behind.Store(&map[secret]secret{1: 2})
	require.NotContains(t, Text(h), "panic")
	require.NotContains(t, Text(struct{ h *hidden }{h}), "panic")
	require.Contains(t, Text(struct{ S secret }{1}), "!panic in String: the String")
}

func TestShort(t *testing.T) {
	for _, c := range []struct {
		v    any
		max  int
		want string
	}{
		{nil, 80, "nil"},
		{(*Node)(nil), 80, "nil"},
		{3, 80, "3"},
		{"a\nb", 80, `"a\nb"`},
		{State(1), 80, "1 busy"},
		{&Node{Name: "x"}, 80, `{Name: "x", Next: nil *values.Node}`},
		{&Server{Addr: ":80"}, 80, "server on :80"},
		{[]any{&Server{Addr: "a\n"}, State(1)}, 80, `len 2 {&values.Server("server on a\n"), values.State(1) busy}`},
		{map[string][]int{"a": {1, 2}}, 80, `len 1 {"a": []int{1, 2}}`},
		{[2]int{1, 2}, 80, "{1, 2}"},
		{make([]int, 5000), 20, "len 5,000 {0, 0, ..."},
		{map[string]int{}, 80, "{}"},
		{[]byte("abc"), 80, `"abc"`},
		{make(chan int, 1), 80, "0 of 1 buffered"},
		{User{7}, 80, `as logged: {id: int64(7), token: values.Token as logged: "REDACTED", g: {d: t...`},
		{when, 80, "2026-01-02 03:04:05.000000006 +0000 UTC"},
		{time.Second, 80, "1s"},
		{"éééééé", 10, `"ééé...`},
		{"éééééé", 9, `"éé...`},
		{"abcdef", 2, ".."},
		{"abcdef", 0, ""},
		{"abcdef", -1, ""},
		{new(atomic.Int64), 80, "0"},
		{errors.New("no\tgood"), 80, `"no\tgood"`},
		{Bad{"boom"}, 80, "!panic in Error: boom"},
	} {
		require.Equal(t, c.want, Short(c.v, c.max), "%#v", c.v)
	}
}

func TestType(t *testing.T) {
	for want, v := range map[string]any{
		"nil": nil, "values.State": State(1), "*sync.Mutex": new(sync.Mutex), "map[string][]int": map[string][]int{},
		"[]any": []any{}, "[]byte": []byte{}, "func(any) error": func(any) error { return nil },
	} {
		require.Equal(t, want, Type(v))
	}
	for want, v := range map[string]any{
		"values.Box[values.Node,map[string]*fs.PathError]": Box[Node, map[string]*fs.PathError]{},
		`struct { A int "json:\"a/b\"" }`: struct {
			A int `json:"a/b"`
		}{},
	} {
		require.Equal(t, want, Type(v))
	}
	long := reflect.StructOf([]reflect.StructField{{Name: "A" + strings.Repeat("é", 200), Type: reflect.TypeFor[int]()}})
	require.LessOrEqual(t, len(Type(reflect.Zero(long).Interface())), maxType+3)
}

func TestCycles(t *testing.T) {
	node := &Node{Name: "a"}
	node.Next = &Node{"b", node}
	require.Equal(t, lines("&values.Node{", `  Name: "a"`, "  Next: &values.Node{", `    Name: "b"`, "    Next: <cycle: *values.Node>", "  }", "}"), Text(node))
	require.Equal(t, `{Name: "a", Next: &values.Node{Name: "b", Next: <cycle: *values.Node>}}`, Short(node, 100))

	m := map[string]any{}
	m["m"] = m
	require.Equal(t, lines("map[string]any{", `  "m": <cycle: map[string]any>`, "}"), Text(m))

	s := make([]any, 2)
	s[0], s[1] = s, s[:1]
	require.Equal(t, lines("[]any{", "  0: <cycle: []any>", "  1: []any{", "    0: <cycle: []any>", "  }", "}"), Text(s))

	var p Self
	p = &p
	require.Equal(t, "&<cycle: values.Self>\n", Text(p))

	var a any
	a = &a
	require.Equal(t, "&<cycle: *any>\n", Text(a))

	v := new(atomic.Value)
	v.Store(v)
	require.Equal(t, "&atomic.Value(<cycle: *atomic.Value>)\n", Text(v))

	var r reflect.Value
	r = reflect.ValueOf(&r)
	require.Equal(t, "reflect.Value(&reflect.Value(<cycle: *reflect.Value>))\n", Text(r))
}

func handler(int) error { return nil }

//go:noinline
func begins() { inlined() }

func inlined() { sink++ }

var sink int

func TestFunctions(t *testing.T) {
	require.Regexp(t, `^func github\.com/gomanhole/oneshot/internal/values\.handler \(.*/values_test\.go:\d+\)\n$`, Text(handler))
	require.Regexp(t, `^values\.Handle github\.com/.*values\.handler \(.*\)\n$`, Text(Handle(handler)))
	require.Regexp(t, `^func .*values\.TestFunctions\.func1 \(.*\)\n$`, Text(func() { sink++ }))
	require.Regexp(t, `^func .*values\.begins \(.*\)\n$`, Text(begins))
	require.Regexp(t, `^func .*values\.\(\*Server\)\.String-fm \(.*\)\n$`, Text(new(Server).String))
	require.Regexp(t, `values\.handler \(.*\)$`, Short(handler, 500))
}

func TestUnsafePointersAreShown(t *testing.T) {
	require.Regexp(t, `^unsafe\.Pointer\(0x[0-9a-f]+\)\n$`, Text(unsafe.Pointer(new(int))))
}

type loud struct{ N int }

func (loud) String() string { return strings.Repeat("é", 1<<19) }

func TestMethodResultsAreClipped(t *testing.T) {
	require.Equal(t, lines("values.loud{ // "+strings.Repeat("é", 2048)+"... 1,044,480 bytes more", "  N: 1", "}"), Text(loud{1}))
	require.Equal(t, strings.Repeat("é", 18)+"...", Short(loud{1}, 40))
}

func TestBounds(t *testing.T) {
	t.Run("slice", func(t *testing.T) {
		text := Text(make([]int, 5000))
		require.Equal(t, 103, strings.Count(text, "\n"))
		require.True(t, strings.HasSuffix(text, "\n  99: 0\n  ... 4,900 more\n}\n"), text)
	})
	t.Run("elements without size", func(t *testing.T) {
		require.Contains(t, Text(new([1 << 30]struct{})), "  99: struct {}{}\n  ... 1,073,741,724 more\n}\n")
	})
	t.Run("map", func(t *testing.T) {
		m := make(map[int]int)
		for i := range 5000 {
			m[i] = i
		}
		require.Contains(t, Text(m), "\n  ... 4,900 more\n}\n")
	})
	t.Run("map with large values", func(t *testing.T) {
		large := map[int][8 << 20]byte{1: {}, 2: {}, 3: {}}
		require.Contains(t, Text(large), "\n  ... 2 more\n}\n")
	})
	t.Run("list", func(t *testing.T) {
		var first *Node
		for range 1_000_000 {
			first = &Node{Next: first}
		}
		text := Text(first)
		require.Equal(t, maxDepth, strings.Count(text, "Name:"), text)
		require.Contains(t, text, "Next: &values.Node{...}\n")
	})
	t.Run("pointers", func(t *testing.T) {
		var p Self
		for range 1000 {
			next := p
			p = &next
		}
		require.Equal(t, strings.Repeat("&", maxDepth+1)+"...\n", Text(p))
		var a any = 1
		for range 1000 {
			b := a
			a = &b
		}
		require.Equal(t, strings.Repeat("&", maxDepth+1)+"...\n", Text(a))
	})
	t.Run("total", func(t *testing.T) {
		s := strings.Repeat("é", 3000)
		v := make([][]string, 100)
		for i := range v {
			v[i] = []string{s, s, s, s}
		}
		text := Text(v)
		require.True(t, strings.HasSuffix(text, cutLine))
		require.LessOrEqual(t, len(text), maxTotal)
		require.Greater(t, len(text), maxTotal-10)
	})
	t.Run("width", func(t *testing.T) { // each level has 100 elements; without a limit, 100^8 would be printed
		var v any = 1
		for range 20 {
			level := make([]any, 100)
			for i := range level {
				level[i] = v
			}
			v = level
		}
		require.LessOrEqual(t, len(Text(v)), maxTotal)
		require.Len(t, Short(v, 80), 80)
	})
	t.Run("key", func(t *testing.T) {
		text := Text(map[string]int{strings.Repeat("x", 1000): 1})
		require.Equal(t, lines("map[string]int{", `  "`+strings.Repeat("x", maxKey-4)+"...: 1", "}"), text)
	})
}

func TestWriteReturnsTheError(t *testing.T) {
	r, w := io.Pipe()
	require.NoError(t, r.CloseWithError(io.ErrNoProgress))
	require.ErrorIs(t, Write(w, 1), io.ErrNoProgress)
	var b strings.Builder
	require.NoError(t, Write(&b, 1))
	require.Equal(t, "1\n", b.String())
}

// format has the methods that must not be called.
type format struct{ n int }

func (format) Format()                           { panic("Format") }
func (format) GoString() string                  { panic("GoString") }
func (format) MarshalText() ([]byte, error)      { panic("MarshalText") }
func (format) MarshalJSON() ([]byte, error)      { panic("MarshalJSON") }
func (format) AppendText([]byte) ([]byte, error) { panic("AppendText") }

func TestOtherMethodsAreNotCalled(t *testing.T) {
	require.Equal(t, lines("&values.format{", "  n: 1", "}"), Text(&format{1}))
}

func TestUnexportedTimeWithMonotonicReading(t *testing.T) {
	now := time.Now()
	require.Contains(t, Text(Clock{at: now}), "  at: "+now.UTC().Round(0).String()+"\n")
	for _, at := range []time.Time{time.Unix(-1, 999), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 1, time.UTC)} {
		require.Contains(t, Text(Clock{at: at}), "  at: "+at.UTC().String()+"\n")
	}
}

// counted shows that String is called on the original: no value and no lock is
// copied.
type counted struct {
	mu sync.Mutex
	N  int
}

func (c *counted) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.N++
	return "counted"
}

func TestMethodsRunInPlace(t *testing.T) {
	c := &struct{ In [1]counted }{}
	require.Contains(t, Text(new(sync.Mutex)), "state: 0\n")
	require.Contains(t, Text(c), "// counted\n")
	require.Equal(t, 1, c.In[0].N)
}
