-- Secondary indexes, made after the seed's COPY because that is quicker.
CREATE INDEX agents_fitness_score_idx ON agents (fitness_score DESC);
CREATE INDEX agents_capabilities_idx ON agents USING gin (capabilities);
CREATE INDEX evolution_history_generation_idx ON evolution_history (generation);
CREATE INDEX evolution_history_timestamp_idx ON evolution_history (timestamp);
CREATE INDEX evolution_history_agent_id_idx ON evolution_history (agent_id);
CREATE INDEX fitness_tracking_timestamp_idx ON fitness_tracking (timestamp);
CREATE INDEX gene_pool_gene_type_idx ON gene_pool (gene_type);
CREATE INDEX ai_analysis_results_agent_id_idx ON ai_analysis_results (agent_id);
CREATE INDEX metrics_timestamp_idx ON metrics (timestamp);
CREATE INDEX metrics_name_timestamp_idx ON metrics (name, timestamp);
