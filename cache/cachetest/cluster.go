package cachetest

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

const (
	clusterMasters = 3
	clusterSlots   = 16384
)

// Cluster is a Redis Cluster of three masters with one replica each. Its methods are not safe for concurrent
// use.
type Cluster struct {
	t       testing.TB
	nodes   []*RedisServer
	clients []*redis.Client // of each node
}

// StartCluster starts a cluster, waits until all nodes agree, and stops it at the end of the test. args are
// added to each node's command line. It skips tests as [StartRedis] does.
func StartCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	for range 2 * clusterMasters {
		s := newServer(t, append([]string{
			"--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
			// Otherwise the first copy is 5 s late, and for up to 10 s more the replica is no candidate for
			// master.
			"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
		}, args...)...)
		s.bus = true
		s.launch()
		c.nodes = append(c.nodes, s)
		c.clients = append(c.clients, connect(s))
	}
	t.Cleanup(func() {
		for _, client := range c.clients {
			_ = client.Close()
		}
	})
	c.join()
	return c
}

// join makes one cluster of the nodes: the first ones get the slots, the others replicate them.
func (c *Cluster) join() {
	c.t.Helper()
	ctx := context.Background()
	do := func(client *redis.Client, args ...any) {
		c.t.Helper()
		if err := client.Do(ctx, append([]any{"cluster"}, args...)...).Err(); err != nil {
			c.t.Fatalf("%v: %v", args, err)
		}
	}
	for i, client := range c.clients {
		do(client, "set-config-epoch", i+1) // nodes with equal epochs would have to agree first
		if i < clusterMasters {
			do(client, "addslotsrange", i*clusterSlots/clusterMasters, (i+1)*clusterSlots/clusterMasters-1)
		}
		for _, other := range c.nodes[:i] { // gossip would take seconds
			host, port, _ := net.SplitHostPort(other.addr)
			do(client, "meet", host, port, other.busPort)
		}
	}
	c.eventually("all nodes know each other", "cluster_known_nodes:6")
	for i, client := range c.clients[clusterMasters:] {
		do(client, "replicate", c.clients[i].ClusterMyID(ctx).Val())
	}
	c.eventually("the cluster works", "cluster_state:ok")
	Eventually(c.t, "every master has its replica", func() bool {
		for i, client := range c.clients {
			slots, err := slotsOf(client)
			if err != nil || slices.ContainsFunc(slots, func(s redis.ClusterSlot) bool { return len(s.Nodes) != 2 }) {
				return false
			}
			if i >= clusterMasters && !strings.Contains(client.Info(ctx, "replication").Val(), "master_link_status:up") {
				return false
			}
		}
		return true
	})
}

// eventually waits until the CLUSTER INFO of all nodes that are alive has the line.
func (c *Cluster) eventually(what, line string) {
	c.t.Helper()
	Eventually(c.t, what, func() bool {
		for _, i := range c.alive() {
			if !strings.Contains(c.clients[i].ClusterInfo(context.Background()).Val(), line) {
				return false
			}
		}
		return true
	})
}

// alive returns the nodes that are neither killed nor suspended.
func (c *Cluster) alive() (indexes []int) {
	for i, s := range c.nodes {
		if s.alive() {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// Nodes returns all nodes, killed ones included: first those that started as masters, then their replicas in
// the same order.
func (c *Cluster) Nodes() []*RedisServer { return c.nodes }

// URL returns the address of all nodes for a client.
func (c *Cluster) URL() string {
	u, err := url.Parse(c.nodes[0].URL())
	if err != nil {
		c.t.Fatal(err)
	}
	u.Path = ""
	u.RawQuery = addrs(c.nodes[1:]).Encode()
	return u.String()
}

// MasterOf returns the node that the others regard as the master of a name.
func (c *Cluster) MasterOf(name string) *RedisServer {
	c.t.Helper()
	ctx := context.Background()
	for _, i := range c.alive() {
		slot := int(c.clients[i].ClusterKeySlot(ctx, name).Val())
		slots, err := slotsOf(c.clients[i])
		if err != nil {
			c.t.Fatal(err)
		}
		for _, s := range slots {
			if s.Start <= slot && slot <= s.End {
				return c.node(s.Nodes[0].Addr)
			}
		}
	}
	c.t.Fatalf("no node knows the master of %q", name)
	return nil
}

// slotsOf asks a node for CLUSTER SLOTS, which go-redis uses as well; its method for it is deprecated.
func slotsOf(client *redis.Client) ([]redis.ClusterSlot, error) {
	ctx := context.Background()
	cmd := redis.NewClusterSlotsCmd(ctx, "cluster", "slots")
	_ = client.Process(ctx, cmd)
	return cmd.Result()
}

func (c *Cluster) node(addr string) *RedisServer {
	c.t.Helper()
	i := slices.IndexFunc(c.nodes, func(s *RedisServer) bool { return s.addr == addr })
	if i < 0 {
		c.t.Fatalf("%s is not a node", addr)
	}
	return c.nodes[i]
}

// KillMaster kills the master of a name and waits until its replica is promoted.
func (c *Cluster) KillMaster(name string) {
	c.t.Helper()
	c.LoseMaster(name, (*RedisServer).Kill)
}

// LoseMaster is KillMaster for another failure, such as [RedisServer.Stop].
func (c *Cluster) LoseMaster(name string, lose func(*RedisServer)) {
	c.t.Helper()
	lost := c.MasterOf(name)
	lose(lost)
	Eventually(c.t, "a replica is promoted", func() bool {
		for _, i := range c.alive() {
			slots, err := slotsOf(c.clients[i])
			if err != nil || slices.ContainsFunc(slots, func(s redis.ClusterSlot) bool { return s.Nodes[0].Addr == lost.addr }) {
				return false
			}
		}
		return true
	})
	c.eventually("the cluster works again", "cluster_state:ok")
}

// FlushAll empties the cluster.
func (c *Cluster) FlushAll() {
	c.t.Helper()
	for _, i := range c.alive() {
		err := c.clients[i].FlushAll(context.Background()).Err()
		if err != nil && !redis.HasErrorPrefix(err, "READONLY") {
			c.t.Fatal(err)
		}
	}
}

// addrs returns the parameters of a URL that name further servers.
func addrs(servers []*RedisServer) url.Values {
	q := url.Values{}
	for _, s := range servers {
		q.Add("addr", s.addr)
	}
	return q
}
