-- A row is a type of gene and how often a gene of it was used: so many genes were used so often.
SELECT
    gene_type::text AS gene_type,
    usage_count,
    count(*) AS genes,
    row_security_active('gene_pool') AS rows_hidden
FROM gene_pool
GROUP BY gene_type, usage_count
ORDER BY gene_type, usage_count
