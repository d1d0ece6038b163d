package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// found are the functions that find the answers of the commands, with the arguments to
// try.
var found = map[string]struct {
	find func(context.Context, Session, []string) (Answer, error)
	args [][]string
}{
	"screen":        {findScreenAgain, [][]string{{}}},
	"stacks":        {findStacksOf, [][]string{{}, {"-n", "1"}, {"-full", "-n", "0"}, {"-frames"}, {"-diff"}, {"-state", "select", "-paths"}}},
	"goroutine":     {findGoroutine, [][]string{{"1"}}},
	"leaks":         {findLeaks, [][]string{{"-force"}}},
	"mem":           {NoArgs(findMem), [][]string{{}}},
	"gc":            {NoArgs(findGC), [][]string{{}}},
	"freeosmem":     {NoArgs(findFreeOSMem), [][]string{{}}},
	"setgc":         {gogc.find, [][]string{{}, {"123", "-for", "1h"}, {"100"}}},
	"memlimit":      {memoryLimit.find, [][]string{{}, {"1GiB"}, {"off"}}},
	"maxprocs":      {maxProcs.find, [][]string{{}}},
	"blockrate":     {blockRateSetting.find, [][]string{{}}},
	"mutexfraction": {mutexFraction.find, [][]string{{}}},
	"profile":       {func(context.Context, Session, []string) (Answer, error) { return listProfiles(), nil }, [][]string{{}}},
	"build":         {NoArgs(findBuild), [][]string{{}}},
	"signals":       {NoArgs(findSignals), [][]string{{}}},
	"fds":           {findFDs, [][]string{{}, {"-n", "1"}}},
	"threads":       {findThreads, [][]string{{}, {"-n", "1"}}},
	"proc":          {findProc, [][]string{{}, {"status"}, {"cmdline"}, {"maps"}, {"exe"}, {"net"}}},
	"env":           {findEnv, [][]string{{}, {"PATH"}}},
	"metrics":       {findMetrics, [][]string{{}, {"/sched/pauses/total/gc:seconds"}, {"/gc/heap/live:bytes"}}},
	"locals":        {NoArgs(findLocals), [][]string{{}}},
	"sections":      {findSections, [][]string{{}}},
}

// withoutAnswer are the commands that write by themselves: print has its text as lines,
// and a trace is a file.
var withoutAnswer = []string{"print", "trace"}

func findStacksOf(ctx context.Context, s Session, args []string) (Answer, error) {
	f, err := parseStacks(args)
	if err != nil {
		return nil, err
	}
	a, err := findStacks(ctx, s, f, vitals.Read())
	if err != nil {
		return nil, err
	}
	return a, nil
}

// TestTheJSONHasWhatTheTextHas: each number and each name in the text of an answer is in
// its JSON form.
func TestTheJSONHasWhatTheTextHas(t *testing.T) {
	t.Setenv("ONESHOT_TEST_STRANGE", "a\x1b[2J\xff 12345")
	t.Setenv("ONESHOT_TEST_LONG", strings.Repeat("x", maxEnvValue+77))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 40 {
		go waitForTheEnd(ctx)
	}
	for range 5 {
		go recursive(ctx, 9)
	}
	limit := "off"
	defer func() { _ = setLimit(limit) }()
	for _, cmd := range All() {
		one, ok := found[cmd.Name]
		require.True(t, ok || strings.Contains(strings.Join(withoutAnswer, " "), cmd.Name), "%s is not in the table", cmd.Name)
		for _, args := range one.args {
			if cmd.Name == "leaks" && runtime.Version() < "go1.27" {
				continue
			}
			s := &testSession{given: Given{Sections: map[string]func(context.Context, io.Writer) error{"cache/v2": nil}}}
			if cmd.Name == "stacks" && strings.Join(args, " ") == "-diff" {
				_, err := findStacksOf(t.Context(), s, nil)
				require.NoError(t, err)
				go waitForTheEnd(ctx)
			}
			a, err := one.find(t.Context(), withLocals{s}, args)
			require.NoError(t, err, "%s %q", cmd.Name, args)
			text := &dump.Writer{Ctx: t.Context(), W: s}
			a.Text(text)
			require.NoError(t, text.Err)
			var object bytes.Buffer
			require.NoError(t, Show(t.Context(), &object, a, AsJSON))
			requireAllOf(t, fmt.Sprint(cmd.Name, args), s.out.String(), object.Bytes())
			var both bytes.Buffer
			require.NoError(t, Show(t.Context(), &both, a, AsBoth))
			require.True(t, strings.HasPrefix(both.String(), object.String()), cmd.Name)
			require.True(t, strings.HasSuffix(s.out.String(), both.String()[object.Len():]), cmd.Name)
		}
	}
}

// withLocals is a session of a program with values.
type withLocals struct{ *testSession }

func (withLocals) Locals() map[string]any {
	return map[string]any{"answer": 42, "fails": func() any { panic("at 17") }, "list": func() any { return []int{5, 6} }}
}

func waitForTheEnd(ctx context.Context) { <-ctx.Done() }

func recursive(ctx context.Context, n int) {
	if n > 0 {
		recursive(ctx, n-1)
		return
	}
	<-ctx.Done()
}

var (
	// aWord is a part of a text that has a digit or may be a name.
	aWord = regexp.MustCompile(`[^\s,;()"=\[\]]+`)
	// aName has what the names of functions, files, metrics and variables have.
	aName = regexp.MustCompile(`[\pL_][./_][\pL_(]`)
	// aHint names a command to type.
	aHint = regexp.MustCompile(`(?m)(: |in full: |, )(stacks|fds|threads|env|profile|goroutine) .*$|To see more: .*$`)
)

// requireAllOf requires that each number and each name of a text is in a JSON object.
func requireAllOf(t *testing.T, what, text string, object []byte) {
	t.Helper()
	var parsed map[string]any
	require.NoError(t, json.Unmarshal(object, &parsed), "%s: %s", what, object)
	require.Equal(t, "oneshot/"+strings.Split(what, "[")[0], parsed["schema"])
	require.EqualValues(t, document.Version, parsed["version"])
	require.NotEmpty(t, text, what)
	var strs strings.Builder
	numbers := make(map[string]bool)
	collect(parsed, &strs, numbers)
	text = aHint.ReplaceAllString(text, "")
	for _, word := range aWord.FindAllString(text, -1) {
		word = strings.TrimRight(word, ":./")
		word = strings.Trim(word, "+-")
		switch {
		case !strings.ContainsAny(word, digits) && !aName.MatchString(word):
		case numbers[word], strings.Contains(strs.String(), word):
		case strings.Contains(strs.String(), strings.ReplaceAll(word, `\\x`, `\x`)):
		default:
			require.Failf(t, "not in the JSON form", "%s: %q of\n%s\nis not in\n%s", what, word, text, object)
		}
	}
}

// collect collects the strings of a JSON value, and its numbers as the texts may show
// them.
func collect(v any, strs *strings.Builder, numbers map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		fmt.Fprintf(strs, "%v:%v\n", v["file"], v["line"]) // of a frame
		if last, ok := v["to"].(float64); ok {
			numbers[fmt.Sprintf("%v-%.0f", v["id"], last)] = true // goroutines
		}
		for name, value := range v {
			strs.WriteString(name + "\n")
			collect(value, strs, numbers)
		}
	case []any:
		for _, value := range v {
			collect(value, strs, numbers)
		}
	case string:
		// The text quotes what a terminal cannot show.
		strs.WriteString(v + "\n" + plaintext.Line(v) + "\n" + plaintext.Escape(v) + "\n")
	case float64:
		for _, form := range formsOf(v) {
			for _, word := range strings.Fields(form) {
				numbers[word] = true
			}
		}
	}
}

func formsOf(v float64) (forms []string) {
	for _, format := range []string{"%.0f", "%.1f", "%.2f", "%.6g", "%.2fs", "%.3g"} {
		forms = append(forms, fmt.Sprintf(format, v))
	}
	forms = append(forms, fmt.Sprintf("%.0f%%", v), fmt.Sprintf("%.0f%%", 100*v), fmt.Sprintf("x%.0f", v), strconv.FormatFloat(v, 'f', -1, 64))
	if v >= 0 && v < math.MaxInt64 {
		forms = append(forms, vitals.Bytes(uint64(v)))
	}
	if math.Abs(v) < 1e9 {
		d := seconds(v)
		forms = append(forms, d.String(), plaintext.Duration(d).String())
		for _, unit := range []time.Duration{time.Microsecond, 10 * time.Microsecond, time.Millisecond, time.Second} {
			forms = append(forms, d.Round(unit).String())
		}
	}
	return forms
}

// TestWhatIsAFileHasNoJSON: the error says so.
func TestWhatIsAFileHasNoJSON(t *testing.T) {
	for line, says := range map[string]string{
		"profile heap -json":           "profile -json lists",
		"trace -json":                  "a trace is a file",
		"stacks -go -json":             "forms of their own",
		"stacks -json -pprof -o /no/x": "forms of their own",
	} {
		require.Contains(t, newClient(t).do(line), "there is no -json: ", line)
		require.Contains(t, newClient(t).do(line), says, line)
	}
}

func TestJSONIsAFlag(t *testing.T) {
	for _, test := range []struct {
		args, rest string
		form       Form
	}{
		{"", "", AsText}, {"-json", "", AsJSON}, {"--json a", "a", AsJSON}, {"a -json b", "a b", AsJSON}, {"-- -json", "-- -json", AsText}, {"-json -- -json", "-- -json", AsJSON},
		{"a -json=text", "a", AsBoth}, {"--json=text -json", "", AsBoth}, {"json", "json", AsText}, {"-json=yes", "-json=yes", AsText},
	} {
		rest, form := CutJSON(strings.Fields(test.args))
		require.Equal(t, test.form, form, test.args)
		require.Equal(t, test.rest, strings.Join(rest, " "), test.args)
	}
}

func TestTheFileOfAJSONDump(t *testing.T) {
	file := t.TempDir() + "/stacks.json"
	require.Contains(t, newClient(t).do("stacks -json -o "+file), "written to "+file)
	require.Contains(t, newClient(t).do("proc ../"), "must not contain")
	c := newClient(t)
	var d document.Stacks
	require.NoError(t, json.Unmarshal([]byte(c.do("stacks -json -n 0")), &d))
	require.Equal(t, d.Total, d.Selected)
	sum := 0
	for _, g := range d.Groups {
		sum += g.Count
	}
	require.Equal(t, d.Total, sum)
}

// TestTheExamplesOfTheJSONPage: an example in docs/json.md has fields of the types that the
// real answer has, and no others. What it leaves out may be absent.
func TestTheExamplesOfTheJSONPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/json.md")
	require.NoError(t, err)
	examples := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(page, -1)
	require.Len(t, examples, 6)
	for _, example := range examples {
		var head document.Head
		require.NoError(t, json.Unmarshal(example[1], &head))
		name := strings.TrimPrefix(head.Schema, "oneshot/")
		a, err := found[name].find(t.Context(), &testSession{}, nil)
		require.NoError(t, err)
		// All fields are of the type.
		strict := json.NewDecoder(bytes.NewReader(example[1]))
		strict.DisallowUnknownFields()
		fresh := reflect.New(reflect.TypeOf(a).Elem())
		require.NoError(t, strict.Decode(fresh.Interface()), name)
		// The real answer has no field that is always there, and is missing here.
		var shown, object bytes.Buffer
		require.NoError(t, Show(t.Context(), &object, a, AsJSON))
		require.NoError(t, document.Write(t.Context(), &shown, fresh.Interface()))
		require.JSONEq(t, string(example[1]), shown.String(), "%s: each field that is always there is in the example", name)
		var real, documented map[string]any
		require.NoError(t, json.Unmarshal(object.Bytes(), &real))
		require.NoError(t, json.Unmarshal(example[1], &documented))
		requireSameTypes(t, name, documented, real)
	}
}

// requireSameTypes requires that what two values have in common has the same types.
func requireSameTypes(t *testing.T, at string, documented, real any) {
	t.Helper()
	require.Equal(t, reflect.TypeOf(real), reflect.TypeOf(documented), at)
	switch documented := documented.(type) {
	case map[string]any:
		for name, value := range documented {
			if is, ok := real.(map[string]any)[name]; ok {
				requireSameTypes(t, at+"."+name, value, is)
			}
		}
	case []any:
		if list := real.([]any); len(documented) > 0 && len(list) > 0 {
			requireSameTypes(t, at+"[0]", documented[0], list[0])
		}
	}
}
