// SPDX-License-Identifier: GPL-2.0-or-later
/**
 * Settings below /proc/sys/net that the model does not have: settings that do not concern ports,
 * and settings that may affect ports. The names are those of 6.18, and some of earlier kernels.
 */

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** Settings of net.ipv4 that do not concern ports. */
const IPV4 = words(`
	fib_notify_on_flag_change icmp_echo_enable_probe icmp_echo_ignore_all
	icmp_echo_ignore_broadcasts icmp_errors_use_inbound_ifaddr icmp_ignore_bogus_error_responses
	icmp_msgs_burst icmp_msgs_per_sec icmp_ratelimit icmp_ratemask igmp_link_local_mcast_reports
	igmp_max_memberships igmp_max_msf igmp_qrv inet_peer_maxttl inet_peer_minttl
	inet_peer_threshold ip_default_ttl ip_early_demux ip_forward ip_forward_update_priority
	ip_forward_use_pmtu ip_no_pmtu_disc ipfrag_high_thresh ipfrag_low_thresh ipfrag_max_dist
	ipfrag_time nexthop_compat_mode ping_group_range tcp_adv_win_scale
	tcp_allowed_congestion_control tcp_app_win tcp_autocorking tcp_available_congestion_control
	tcp_backlog_ack_defer tcp_base_mss tcp_challenge_ack_limit tcp_comp_sack_delay_ns
	tcp_comp_sack_nr tcp_comp_sack_slack_ns tcp_congestion_control tcp_dsack tcp_early_demux
	tcp_early_retrans tcp_ecn tcp_ecn_fallback tcp_ecn_option tcp_ecn_option_beacon
	tcp_ehash_entries tcp_fack tcp_frto tcp_invalid_ratelimit tcp_keepalive_intvl
	tcp_keepalive_probes tcp_keepalive_time tcp_limit_output_bytes tcp_low_latency
	tcp_max_reordering tcp_mem tcp_min_rtt_wlen tcp_min_snd_mss tcp_min_tso_segs
	tcp_moderate_rcvbuf tcp_mtu_probe_floor tcp_mtu_probing tcp_no_metrics_save
	tcp_no_ssthresh_metrics_save tcp_notsent_lowat tcp_pacing_ca_ratio tcp_pacing_ss_ratio
	tcp_pingpong_thresh tcp_plb_cong_thresh tcp_plb_enabled tcp_plb_idle_rehash_rounds
	tcp_plb_rehash_rounds tcp_plb_suspend_rto_sec tcp_probe_interval tcp_probe_threshold
	tcp_recovery tcp_reflect_tos tcp_reordering tcp_retrans_collapse tcp_rfc1337 tcp_rmem
	tcp_rto_min_us tcp_sack tcp_shrink_window tcp_slow_start_after_idle tcp_stdurg
	tcp_thin_linear_timeouts tcp_timestamps tcp_tso_rtt_log tcp_tso_win_divisor tcp_tw_recycle
	tcp_window_scaling tcp_wmem tcp_workaround_signed_windows udp_early_demux udp_hash_entries
	udp_mem udp_rmem_min udp_wmem_min xfrm4_gc_thresh
`);

/** Settings of net.ipv6 that do not concern ports. */
const IPV6 = words(`
	anycast_src_echo_reply auto_flowlabels fib_notify_on_flag_change flowlabel_consistency
	flowlabel_reflect flowlabel_state_ranges idgen_delay idgen_retries ioam6_id ioam6_id_wide
	ip6frag_high_thresh ip6frag_low_thresh ip6frag_time max_dst_opts_length max_dst_opts_number
	max_hbh_length max_hbh_opts_number seg6_flowlabel xfrm6_gc_thresh
`);

/** Settings of net.ipv4.conf.DEVICE and net.ipv6.conf.DEVICE that do not concern ports. */
const CONF = words(`
	accept_dad accept_ra accept_ra_defrtr accept_ra_from_local accept_ra_min_hop_limit
	accept_ra_min_lft accept_ra_mtu accept_ra_pinfo accept_ra_rt_info_max_plen
	accept_ra_rt_info_min_plen accept_ra_rtr_pref accept_redirects accept_source_route
	accept_untracked_na arp_accept arp_announce arp_evict_nocarrier arp_filter arp_ignore
	arp_notify autoconf bc_forwarding bootp_relay dad_transmits disable_policy disable_xfrm
	drop_gratuitous_arp drop_unicast_in_l2_multicast drop_unsolicited_na enhanced_dad
	force_forwarding force_igmp_version force_mld_version force_tllao forwarding hop_limit
	igmpv2_unsolicited_report_interval igmpv3_unsolicited_report_interval
	ignore_routes_with_linkdown ioam6_enabled ioam6_id ioam6_id_wide log_martians
	max_desync_factor mc_forwarding medium_id mldv1_unsolicited_report_interval
	mldv2_unsolicited_report_interval mtu ndisc_evict_nocarrier ndisc_notify ndisc_tclass
	proxy_arp proxy_arp_pvlan proxy_ndp ra_defrtr_metric ra_honor_pio_life ra_honor_pio_pflag
	regen_max_retry regen_min_advance router_probe_interval router_solicitation_delay
	router_solicitation_interval router_solicitation_max_interval router_solicitations rp_filter
	rpl_seg_enabled secure_redirects seg6_enabled seg6_require_hmac send_redirects shared_media
	suppress_frag_ndisc tag
`);

/** Settings of net.core that do not concern ports. */
const CORE = words(`
	bpf_jit_enable busy_poll busy_read default_qdisc dev_weight netdev_budget netdev_max_backlog
	optmem_max rmem_default rmem_max rps_sock_flow_entries tstamp_allow_data txrehash
	wmem_default wmem_max
`);

/** Settings of net.ipv4 that may affect ports. */
const IPV4_CONCERNS = words(`
	fib_multipath_hash_fields fib_multipath_hash_policy fib_multipath_hash_seed
	fib_multipath_use_neigh fwmark_reflect ip_autobind_reuse ip_dynaddr ip_local_port_range
	ip_local_port_step_width ip_local_reserved_ports ip_nonlocal_bind ip_unprivileged_port_start
	raw_l3mdev_accept tcp_abort_on_overflow tcp_child_ehash_entries tcp_fastopen
	tcp_fastopen_blackhole_timeout_sec tcp_fastopen_key tcp_fin_timeout tcp_fwmark_accept
	tcp_l3mdev_accept tcp_max_orphans tcp_max_syn_backlog tcp_max_tw_buckets tcp_migrate_req
	tcp_orphan_retries tcp_retries1 tcp_retries2 tcp_rto_max_ms tcp_syn_linear_timeouts
	tcp_syn_retries tcp_synack_retries tcp_syncookies tcp_tw_reuse tcp_tw_reuse_delay
	udp_child_hash_entries udp_l3mdev_accept
`);

/** Settings of net.ipv6 that may affect ports. */
const IPV6_CONCERNS = words(`
	bindv6only fib_multipath_hash_fields fib_multipath_hash_policy fwmark_reflect
	ip_nonlocal_bind
`);

/** Settings of a device that may affect ports. */
const CONF_CONCERNS = words(`
	accept_local addr_gen_mode disable_ipv6 keep_addr_on_down max_addresses optimistic_dad
	promote_secondaries route_localnet src_valid_mark stable_secret temp_prefered_lft
	temp_valid_lft use_oif_addrs_only use_optimistic use_tempaddr
`);

const CONF_NAME = /^net\.ipv[46]\.conf\.(?:.*)\.([a-z0-9_]+)$/;
/** Folders whose settings do not concern ports. */
const FOLDERS = /^net\.(ipv[46]\.(neigh|route)|unix|bridge|netfilter)\./;

/**
 * "none": the setting does not concern ports. "ports": it may affect ports. "unknown": the setting
 * may not exist.
 */
type Concern = "none" | "ports" | "unknown";

/** Whether a setting that the model does not have concerns ports. `name` has dots. */
export function sysctlConcern(name: string): Concern {
	const conf = CONF_NAME.exec(name)?.[1];
	if (conf !== undefined) {
		if (CONF_CONCERNS.has(conf)) return "ports";
		return CONF.has(conf) ? "none" : "unknown";
	}
	if (FOLDERS.test(name)) return "none";
	const [net, folder = "", file, ...rest] = name.split(".");
	if (net !== "net" || file === undefined || rest.length > 0) return "unknown";
	if (folder === "mptcp" || folder === "sctp") return "ports";
	if (folder === "core" && file === "somaxconn") return "ports";
	if (folder === "ipv4" && IPV4_CONCERNS.has(file)) return "ports";
	if (folder === "ipv6" && IPV6_CONCERNS.has(file)) return "ports";
	const known = folder === "ipv4" ? IPV4 : folder === "ipv6" ? IPV6 : CORE;
	return known.has(file) && ["ipv4", "ipv6", "core"].includes(folder) ? "none" : "unknown";
}
