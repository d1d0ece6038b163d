package findings

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// descriptors reports if almost all descriptors are in use. It says of which kind most
// of them are, where connections lead, and which goroutines and places may have opened
// them.
func descriptors(e *Evidence) []Finding {
	d := e.Descriptors
	if d.Limit <= 0 || int64(d.Open)*100 < int64(d.Limit)*minLimitUsed {
		return nil
	}
	f := Finding{
		Title:  fmt.Sprintf("%d of %d file descriptors are open", d.Open, d.Limit),
		Weight: weightDescriptors,
	}
	if e.Kinds == nil {
		return []Finding{f}
	}
	kinds, err := e.Kinds()
	if err != nil || len(kinds) == 0 {
		return []Finding{f}
	}
	var names []string
	for _, k := range kinds[:min(len(kinds), 3)] {
		names = append(names, fmt.Sprintf("%d %s", k.Count, k.Name))
	}
	f.Lines = append(f.Lines, "most are: "+strings.Join(names, ", "))
	if !e.Final {
		return []Finding{f}
	}
	opens, what := opensFile, "opened and not closed at "
	if kinds[0].Name == "socket" {
		f.Lines = append(f.Lines, e.endpoints(kinds[0].Count)...)
		if bodies := e.bodies(); 4*bodies.count >= kinds[0].Count {
			f.Lines = append(f.Lines, fmt.Sprintf("%d of them belong to HTTP responses that nobody reads or closes", bodies.count))
			f.Lines = append(f.Lines, bodies.labels...)
			opens, what = e.asksHTTP, "asked, and Body not closed, at "
		}
	}
	// Is there about one goroutine for each of them?
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		at := e.site(g.Frames)
		if at < 0 || 2*g.Count < kinds[0].Count || g.Count > kinds[0].Count*6/5+8 {
			continue
		}
		f.Lines = append(f.Lines, fmt.Sprintf("about as many goroutines (%d) wait at %s", g.Count, place(g.Frames[at])))
		if g.Creator.Function != "" {
			f.Lines = append(f.Lines, "    started at "+place(g.Creator))
		}
		break
	}
	sites, _ := e.heapSites(e.Heap, opens)
	if len(sites) == 0 && e.Allocs != nil { // what is in use may be too little for a sample
		sites, _ = e.heapSites(e.Allocs, opens)
		what = "perhaps " + what
	}
	for _, s := range sites[:min(len(sites), 2)] {
		f.Lines = append(f.Lines, what+place(s.Frames[0]))
	}
	return []Finding{f}
}

// endpoint is where connections lead.
type endpoint struct {
	text  string
	count int
}

// endpoints returns lines that say where most of the sockets lead: to a server, or to
// clients that have connected to a port.
func (e *Evidence) endpoints(sockets int) []string {
	if e.Conns == nil {
		return nil
	}
	index := make(map[string]int)
	var all []endpoint
	for _, c := range e.Conns() {
		text := "lead to " + c.Remote.String()
		if c.Accepted {
			text = fmt.Sprintf("were opened by clients of port %d", c.Local.Port())
		}
		k, known := index[text]
		if !known {
			k = len(all)
			index[text] = k
			all = append(all, endpoint{text: text})
		}
		all[k].count++
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].count > all[j].count })
	var lines []string
	for _, p := range all[:min(len(all), maxServers)] {
		if 10*p.count >= sockets {
			lines = append(lines, fmt.Sprintf("%d of them %s", p.count, p.text))
		}
	}
	return lines
}

// bodies are responses of HTTP servers that are open.
type bodies struct {
	count, long int      // long: for minutes
	labels      []string // a line about the pprof labels of the goroutines that asked
}

// bodies counts the responses that nobody reads. For each connection to an HTTP/1 server,
// there is a goroutine in readLoop. It is in a select as long as the program may still
// read the response. The program is not reading if it is not inside of Read.
func (e *Evidence) bodies() (b bodies) {
	readers := 0
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			break
		}
		switch {
		case g.State == "select" && len(g.Frames) > 0 && g.Frames[0].Function == "net/http.(*persistConn).readLoop":
			b.count += e.lasting(g)
			b.long += e.waitedLong(g)
			// A goroutine has the labels of the one that started it: the one that asked.
			if len(g.Labels) > 0 && 2*g.Labels[0].Count >= g.Count {
				b.labels = []string{fmt.Sprintf("%d of them with the pprof labels %s", g.Labels[0].Count, plaintext.Clip(g.Labels[0].Labels, maxLabel))}
			}
		case contains(g.Frames, "net/http.(*bodyEOFSignal).Read"):
			readers += g.Count
		}
	}
	b.count, b.long = max(b.count-readers, 0), max(b.long-readers, 0)
	return b
}

// openBodies finds responses that have been open for minutes, if there are more of them
// than goroutines of the program which could be about to read one.
func openBodies(e *Evidence) []Finding {
	b := e.bodies()
	if b.long < minBodies {
		return nil
	}
	goroutines := 0
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			return nil
		}
		if at := e.site(g.Frames); at >= 0 && e.rank(g.Frames[at]) == rankProgram {
			goroutines += g.Count
		}
	}
	if b.long <= goroutines {
		return nil
	}
	f := Finding{
		Title:  fmt.Sprintf("%d HTTP responses have been open for minutes, and nobody reads or closes them", b.long),
		Weight: weightBodies,
	}
	for i, from := range []func() []HeapSite{e.Heap, e.Allocs} {
		if from == nil || !e.Final || len(f.Lines) > 0 {
			continue
		}
		sites, _ := e.heapSites(from, e.asksHTTP)
		for _, s := range sites[:min(len(sites), 2)] {
			f.Lines = append(f.Lines, []string{"asked at ", "perhaps asked at "}[i]+place(s.Frames[0]))
		}
	}
	f.Lines = append(f.Lines, b.labels...)
	return []Finding{f}
}

// opensFile reports whether the memory was allocated to open a file or connection.
func opensFile(s HeapSite) bool {
	return slices.ContainsFunc(s.Frames, func(f stack.Frame) bool {
		switch f.Function {
		case "os.newFile", "os.NewFile", "os.OpenFile", "os.openFileNolog", "net.newFD", "net.(*netFD).accept", "net.(*sysDialer).dialSingle", "net.internetSocket":
			return true
		}
		return false
	})
}

// asksHTTP reports whether the memory was allocated for a request to an HTTP server.
func (e *Evidence) asksHTTP(s HeapSite) bool {
	return slices.ContainsFunc(s.Frames, func(f stack.Frame) bool {
		return f.Function == "net/http.NewRequestWithContext" || e.isClientCall(f) && f.Package() == "net/http"
	})
}
