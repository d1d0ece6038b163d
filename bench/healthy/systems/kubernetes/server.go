package main

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

const (
	namespace = "default"
	objects   = 40
)

// server keeps config maps. It knows the names of other resources, of which there are
// none.
type server struct {
	mu       sync.Mutex
	version  int
	maps     map[string]*corev1.ConfigMap
	watchers map[chan event]bool
}

type event struct {
	Type   string `json:"type"`
	Object any    `json:"object"`
}

func serve(*program.Run) string {
	s := &server{maps: make(map[string]*corev1.ConfigMap), watchers: make(map[chan event]bool)}
	l := program.Must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { program.Fail(http.Serve(l, s)) }()
	return l.Addr().String()
}

var kinds = map[string]string{"configmaps": "ConfigMap", "pods": "Pod", "secrets": "Secret"}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	path := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/api/v1/"), "namespaces/"+namespace+"/")
	resource, _, _ := strings.Cut(path, "/")
	kind := kinds[resource]
	switch {
	case kind == "":
		http.NotFound(w, r)
	case r.Method != http.MethodGet:
		s.write(w, r)
	case r.URL.Query().Get("watch") != "":
		s.watch(w, r, kind)
	default:
		all, version := s.all(kind)
		answer(w, map[string]any{"kind": kind + "List", "apiVersion": "v1", "metadata": map[string]string{"resourceVersion": version}, "items": all})
	}
}

// answer writes a value. An error means that the client has gone.
func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

// all returns the objects of a kind.
func (s *server) all(kind string) (all []any, version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all = []any{}
	if kind == "ConfigMap" {
		for _, m := range s.maps {
			all = append(all, m)
		}
	}
	return all, strconv.Itoa(s.version)
}

// write creates or replaces a config map, and tells the watchers. They may be slow for a
// while, since they have buffers. A change of an old version is refused: of two controllers,
// the one that was slower has to look again.
func (s *server) write(w http.ResponseWriter, r *http.Request) {
	m := new(corev1.ConfigMap)
	if err := json.NewDecoder(r.Body).Decode(m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	if old := s.maps[m.Name]; old != nil && m.ResourceVersion != "" && m.ResourceVersion != old.ResourceVersion {
		s.mu.Unlock()
		http.Error(w, "the object has been changed", http.StatusConflict)
		return
	}
	s.version++
	m.TypeMeta = metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}
	m.ResourceVersion = strconv.Itoa(s.version)
	e := event{"MODIFIED", m}
	if s.maps[m.Name] == nil {
		e.Type = "ADDED"
	}
	s.maps[m.Name] = m
	var slow []chan event
	for events := range s.watchers {
		select {
		case events <- e:
		default:
			slow = append(slow, events)
		}
	}
	for _, events := range slow { // the client lists again
		delete(s.watchers, events)
		close(events)
	}
	s.mu.Unlock()
	answer(w, m)
}

// watch sends the objects that there are, if the client asks for them, and then each
// change.
func (s *server) watch(w http.ResponseWriter, r *http.Request, kind string) {
	events := make(chan event, 1000)
	s.mu.Lock()
	if kind == "ConfigMap" {
		s.watchers[events] = true
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, events)
	}()
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		all, version := s.all(kind)
		for _, object := range all {
			answer(w, event{"ADDED", object})
		}
		answer(w, event{"BOOKMARK", map[string]any{"kind": kind, "apiVersion": "v1", "metadata": map[string]any{
			"resourceVersion": version, "annotations": map[string]string{metav1.InitialEventsAnnotationKey: "true"},
		}}})
	}
	for {
		_ = http.NewResponseController(w).Flush()
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			answer(w, e)
		case <-r.Context().Done():
			return
		}
	}
}
