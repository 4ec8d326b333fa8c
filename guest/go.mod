module cognitora/guest

go 1.26
