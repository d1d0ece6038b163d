//go:build linux

package htmlreport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
)

// parts are the parts of a bundle, by name.
type parts map[string]any

// bundleOf returns a bundle with these parts. What is no text is written as JSON.
func bundleOf(t testing.TB, all parts) *bundle.Bundle {
	t.Helper()
	var out bytes.Buffer
	w, err := bundle.NewWriter(&out, "oneshot-server-web1-7-20260102T150405Z")
	require.NoError(t, err)
	for name, part := range all {
		text, ok := part.(string)
		if !ok {
			data, err := json.Marshal(part)
			require.NoError(t, err)
			text = string(data)
		}
		require.NoError(t, w.Add(name, time.Unix(0, 0), strings.NewReader(text), int64(len(text))))
	}
	b, err := bundle.Read(&out)
	require.NoError(t, err)
	return b
}

func pageOf(t testing.TB, b *bundle.Bundle) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, Write(&out, b))
	require.LessOrEqual(t, out.Len(), MaxBytes)
	return out.String()
}

// dataOf returns what the script gets.
func dataOf(t testing.TB, page string) (d data) {
	t.Helper()
	_, rest, ok := strings.Cut(page, `<script type="application/json" id="data">`)
	require.True(t, ok)
	text, _, ok := strings.Cut(rest, "</script>")
	require.True(t, ok)
	require.NoError(t, json.Unmarshal([]byte(text), &d))
	return d
}

type object = map[string]any

// stacksOf returns the JSON of the command stacks.
func stacksOf(groups ...object) object {
	return object{"schema": "oneshot/stacks", "version": 1, "searched": true, "groups": groups}
}

func groupOf(count int, state string, functions ...string) object {
	var frames []object
	for i, f := range functions {
		frames = append(frames, object{"function": f, "file": "f.go", "line": i + 1})
	}
	return object{"count": count, "state": state, "frames": frames, "site": frames[len(frames)-1]}
}

func profileNamed(t testing.TB, name string) string {
	t.Helper()
	var out strings.Builder
	require.NoError(t, pprof.Lookup(name).WriteTo(&out, 0))
	return out.String()
}

func TestThePageHasWhatTheBundleHas(t *testing.T) {
	stacks := stacksOf(groupOf(90, "chan send", "main.send", "main.run"), groupOf(3, "select", "main.wait", "main.run"))
	stacks["findings"] = []object{{"title": "90 goroutines wait in chan send", "lines": []string{"at main.send  f.go:1"}, "next": "stacks -diff"}}
	page := pageOf(t, bundleOf(t, parts{
		"stacks.json": stacks,
		"screen.json": object{"schema": "oneshot/screen", "findings": stacks["findings"], "vitals": object{
			"cpu": object{"busy": 1.5, "procs": 4, "latency_p99_seconds": 6.4e-8}, "goroutines": object{"total": 93, "waiting": 93}, "threads": 9,
			"memory": object{"heap_bytes": 3 << 20, "in_use_bytes": 5 << 20, "limit_bytes": 64 << 20}, "descriptors": object{"open": 10, "limit": 1024},
		}},
		"fds.txt": "10 of 1024: 4 file", "profiles/heap.pb.gz": profileNamed(t, "heap"), "profiles/cpu.pb.gz": "no profile",
		bundle.ManifestName: &bundle.Manifest{
			Schema: bundle.Schema, Version: 1, Program: "server", Host: "web1", PID: 7, End: bundle.Interrupted,
			Parts: []bundle.Part{{Name: "fds.txt", Command: "fds -n 0", Bytes: 18, Present: true, Seconds: 0.25}, {Name: "trace", Error: "left out: interrupted"}},
		},
	}))
	for _, text := range []string{ // (the page is too long for the message of require.Contains)
		"<title>server, pid 7 on web1</title>", "90 goroutines wait in chan send", "at main.send  f.go:1", "<code>stacks -diff</code>",
		"1.50 of 4", "64ns (p99)", "93: 93 waiting", "5 MiB of 64 MiB", "10 of 1024: 4 file", "fds -n 0", "250ms", "left out: interrupted",
		"The collection ended early: interrupted.", "cpu: it cannot be shown",
	} {
		require.True(t, strings.Contains(page, text), text)
	}
	d := dataOf(t, page)
	require.Len(t, d.Groups, 2)
	require.Equal(t, 90, d.Groups[0].Count)
	require.Equal(t, "chan send", d.Strings[d.Groups[0].State])
	require.Equal(t, "main.run", d.Strings[d.Frames[d.Groups[0].Frames[d.Groups[0].Site]][0]])
	require.Len(t, d.Flames, 2)
	require.Equal(t, []string{"alloc_objects", "alloc_space", "inuse_objects", "inuse_space"}, d.Flames[1].Types)
	require.Equal(t, 3, d.Flames[1].Pick)
}

// hostile are texts that must not become a part of the page.
var hostile = []string{
	`</script><script>alert(1)</script>`, `<!--<script>`, `"><img src=x onerror=alert(1)>`, `</style><style>*{}`, `{{.Policy}}`, `javascript:alert(1)`,
	"\u2028alert(1)", "\x1b[2J", "\u202egnp.exe", "\xff\xfe", "]]>", "main.F[go.shape.struct { A string \"</script>\" }]",
}

func TestNothingOfTheProgramIsAPartOfThePage(t *testing.T) {
	clean := tagsOf(pageOf(t, hostileBundle(t, func(string) string { return "x" })))
	for _, evil := range hostile {
		page := pageOf(t, hostileBundle(t, func(string) string { return evil }))
		require.Equal(t, clean, tagsOf(page), "%q has changed the elements of the page", evil)
		require.False(t, strings.ContainsAny(page, "\x1b\u202e") || !utf8.ValidString(page), "%q", evil)
		dataOf(t, page)
	}
}

// hostileBundle has a text of the program wherever a text can be.
func hostileBundle(t *testing.T, text func(where string) string) *bundle.Bundle {
	evil := text("")
	stacks := stacksOf(groupOf(5, evil, evil, evil))
	stacks["process"] = object{"name": evil, "host": evil, "at": evil, "module": evil, "version": evil, "go": evil, "os": evil}
	stacks["findings"] = []object{{"title": evil, "lines": []string{evil}, "places": []object{{"function": evil, "file": evil}}, "next": evil}}
	stacks["notes"] = []string{evil}
	stacks["groups"].([]object)[0]["labels"] = []object{{"labels": evil, "count": 1}}
	stacks["groups"].([]object)[0]["created_by"] = object{"function": evil, "file": evil}
	return bundleOf(t, parts{
		"stacks.json": stacks, "screen.txt": evil, "fds.txt": evil, "sections/x": evil, "profiles/heap.pb.gz": evil,
		"fds.json": object{"schema": "oneshot/fds", "open": 1, "kinds": object{evil: 1}, "fds": []object{{"kind": evil, "state": evil, "target": evil, "detail": evil, "signals": evil}}},
		bundle.ManifestName: &bundle.Manifest{
			Schema: bundle.Schema, Version: 1, Client: evil, Program: evil, Host: evil, End: evil,
			Parts: []bundle.Part{{Name: evil, Command: evil, Error: evil, Remark: evil}},
		},
	})
}

// tagsOf returns the elements of a page, with their attributes but for the policy.
func tagsOf(page string) []string {
	return regexp.MustCompile(`<[!/a-zA-Z][^>]*>`).FindAllString(page, -1)
}

// The page asks for nothing: it has no address of anything outside of it, and its policy
// has the hashes of its style and script.
func TestThePageLoadsNothing(t *testing.T) {
	page := pageOf(t, bundleOf(t, parts{"stacks.json": stacksOf(groupOf(1, "select", "main.main"))}))
	require.NotRegexp(t, `(?i)https?:|//[a-z0-9.-]+/|\bsrc=|url\(|@import|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\(|innerHTML|eval\(| on[a-z]+=| style=`, page)
	for _, href := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		require.True(t, strings.HasPrefix(href[1], "#"), href[1])
	}
	policy := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy" content="([^"]*)">`).FindStringSubmatch(page)
	require.NotNil(t, policy)
	require.Less(t, strings.Index(page, policy[0]), strings.Index(page, "<style>"), "it holds for what follows it")
	for _, element := range []string{"style", "script"} {
		text := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(page, -1)
		require.Len(t, text, 1)
		require.Contains(t, strings.NewReplacer("&#39;", "'", "&#43;", "+").Replace(policy[1]), element+"-src '"+hashOf(text[0][1])+"'")
	}
	require.Contains(t, policy[1], "default-src &#39;none&#39;")
}

// TestTheSizeIsBounded has more of everything than there is room for.
func TestTheSizeIsBounded(t *testing.T) {
	var groups []object
	for i := range 6000 {
		groups = append(groups, groupOf(6000-i, "<<<<<<<<", fmt.Sprintf("main.f%d<<<<", i), fmt.Sprintf("example.com/p%d.F", i%700), "main.main"))
	}
	all := parts{"stacks.json": stacksOf(groups...)}
	for i := range 40 {
		all[fmt.Sprintf("sections/%d", i)] = strings.Repeat("<&\"'", 50_000)
		all[fmt.Sprintf("profiles/p%d.pb.gz", i)] = profileNamed(t, "heap")
	}
	stacks, long := all["stacks.json"].(object), strings.Repeat("'", 2000)
	var findings []object
	manifest := &bundle.Manifest{Schema: bundle.Schema, Version: 1, Client: long, Program: long, Host: long, End: long}
	for range 1000 {
		findings = append(findings, object{"title": long, "lines": []string{long, long, long}, "next": long})
		manifest.Parts = append(manifest.Parts, bundle.Part{Name: long, Command: long, Error: long, Remark: long})
	}
	var fds []object
	kinds := make(object)
	for i := range 1000 {
		kinds[fmt.Sprint(long, i)] = 1
		fds = append(fds, object{"kind": long, "state": long, "target": long, "detail": long, "signals": long})
	}
	all["fds.json"] = object{"schema": "oneshot/fds", "kinds": kinds, "fds": fds}
	stacks["findings"], stacks["notes"] = findings, slices.Repeat([]string{long}, 1000)
	all[bundle.ManifestName] = manifest
	page := pageOf(t, bundleOf(t, all))
	d := dataOf(t, page)
	require.Greater(t, len(d.Groups), 500)
	require.Less(t, len(d.Groups), 6000)
	require.Equal(t, 6000, d.Groups[0].Count, "the largest come first")
	require.True(t, strings.Contains(page, fmt.Sprintf("no room for the smallest %d groups", 6000-len(d.Groups))))
	require.LessOrEqual(t, len(d.Flames), maxFlames)
}

func TestABundleWithoutJSON(t *testing.T) {
	page := pageOf(t, bundleOf(t, parts{
		"stacks.txt":               "\nWhat stands out:\n1. something\n\n5 goroutines in 1 group by identical stacks:\n\n5 select\n",
		"profiles/goroutine.pb.gz": profileNamed(t, "goroutine"),
	}))
	require.True(t, strings.Contains(page, "<pre>What stands out:\n1. something</pre>"))
	d := dataOf(t, page)
	require.NotEmpty(t, d.Groups)
	require.Len(t, d.Flames, 1)
	require.NoError(t, Write(io.Discard, bundleOf(t, parts{"stacks.json": "[1", "screen.json": "{}", "profiles/x": "", "fds.txt": ""})))
}

// A pruned tree has no node without its parent, and each node has as much as all below it.
func TestAPrunedTreeIsATree(t *testing.T) {
	f := newForest(2)
	for i := range 2000 {
		var stack []int
		for d := range 12 {
			stack = append(stack, f.name(fmt.Sprintf("main.f%d", i>>(11-d))))
		}
		f.add([]int64{1, int64(i)}, stack)
	}
	var d data
	nodes, pruned := f.flame(newPool(&d), 100)
	require.Len(t, nodes, 100*4)
	require.Equal(t, len(f.nodes)-100, pruned)
	var check func(at int) (next int)
	check = func(at int) int {
		next, below := at+4, int64(0)
		for range nodes[at+1] {
			below += nodes[next+2]
			next = check(next)
		}
		require.LessOrEqual(t, below, nodes[at+2])
		return next
	}
	require.Equal(t, len(nodes), check(0))
	require.Equal(t, int64(2000), nodes[2])

	deep := newForest(1)
	deep.add([]int64{1}, make([]int, 10*maxDepth))
	require.Len(t, deep.nodes, maxDepth+1)
}

// The runtime fills the stacks of the profile threadcreate up with frames that have no name.
func TestFramesWithoutANameAreLeftOut(t *testing.T) {
	frame := func(name string) *profile.Location {
		return &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: name}}}}
	}
	f := newForest(1)
	functions := f.functions(&profile.Sample{Location: []*profile.Location{frame("main.f"), frame("main.main"), frame(""), frame("")}})
	require.Equal(t, []int{f.name("main.main"), f.name("main.f")}, functions)
}

func FuzzStacks(f *testing.F) {
	data, _ := json.Marshal(stacksOf(groupOf(5, "select", "main.f")))
	f.Add(string(data), "text")
	f.Fuzz(func(t *testing.T, stacks, text string) {
		pageOf(t, bundleOf(t, parts{"stacks.json": stacks, "fds.txt": text, "fds.json": stacks, "screen.txt": text}))
	})
}
