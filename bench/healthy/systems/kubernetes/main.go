// Command kubernetes is the part of a Kubernetes API server that controllers need. Its
// clients are controllers: informers, work queues and workers.
package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve, Clients: clients}) }

// controller writes into each config map the version that it has seen.
type controller struct {
	name   string
	client kubernetes.Interface
	maps   cache.SharedIndexInformer
	queue  workqueue.TypedRateLimitingInterface[string]
}

func clients(r *program.Run, address string) {
	ctx := context.Background()
	// Without a content type, the client sends protocol buffers, which the server does not read.
	config := &rest.Config{Host: "http://" + address, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
	client := program.Must(kubernetes.NewForConfig(config))
	for i := range objects {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("map", i), Namespace: namespace}}
		program.Must(client.CoreV1().ConfigMaps(namespace).Create(ctx, m, metav1.CreateOptions{}))
	}
	f := informers.NewSharedInformerFactory(client, 10*time.Minute)
	for _, name := range []string{"first", "second"} {
		c := &controller{name, client, f.Core().V1().ConfigMaps().Informer(),
			workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())}
		program.Must(c.maps.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    c.changed,
			UpdateFunc: func(_, after any) { c.changed(after) },
		}))
		for range 5 {
			go c.work(ctx)
		}
	}
	f.Core().V1().Pods().Informer()
	f.Core().V1().Secrets().Informer()
	f.Start(ctx.Done())
	f.WaitForCacheSync(ctx.Done())
	r.Work(16, func(ctx context.Context, worker, i int) error {
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("map", (16*i+worker)%objects), Namespace: namespace}}
		m.Data = map[string]string{"wanted": fmt.Sprint(i)}
		_, err := client.CoreV1().ConfigMaps(namespace).Update(ctx, m, metav1.UpdateOptions{})
		return err
	})
}

func (c *controller) changed(object any) {
	c.queue.Add(program.Must(cache.MetaNamespaceKeyFunc(object)))
}

func (c *controller) work(ctx context.Context) {
	for {
		key, _ := c.queue.Get()
		if err := c.reconcile(ctx, key); err != nil {
			c.queue.AddRateLimited(key)
		} else {
			c.queue.Forget(key)
		}
		c.queue.Done(key)
	}
}

func (c *controller) reconcile(ctx context.Context, key string) error {
	object, exists, err := c.maps.GetIndexer().GetByKey(key)
	if err != nil || !exists {
		return err
	}
	m := object.(*corev1.ConfigMap).DeepCopy()
	if m.Annotations[c.name] == m.Data["wanted"] {
		return nil
	}
	metav1.SetMetaDataAnnotation(&m.ObjectMeta, c.name, m.Data["wanted"])
	_, err = c.client.CoreV1().ConfigMaps(m.Namespace).Update(ctx, m, metav1.UpdateOptions{})
	return err
}
